package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	minerv1 "github.com/aitbc/aitbc/gen/go/aitbc/miner/v1"
	"github.com/aitbc/aitbc/services/internal/config"
	"github.com/aitbc/aitbc/services/miner"
)

// ownerTimeout bounds a call at the owner's port.
const ownerTimeout = 10 * time.Second

var errUnwell = errors.New("not all is well: see the remedies above")

func newMinerDoctor() *cobra.Command {
	m := newMinerCommand()
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check all that a miner needs, with what to do about what is missing", Args: requireNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := m.load(cmd)
			if err != nil {
				return err
			}
			well := true
			for _, check := range miner.Diagnose(cmd.Context(), c) {
				word := "ok  "
				if !check.OK {
					word, well = "FAIL", false
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %s: %s\n", word, check.Name, check.Detail)
				if !check.OK {
					fmt.Fprintf(cmd.OutOrStdout(), "      do: %s\n", check.Remedy)
				}
			}
			if !well {
				return errUnwell
			}
			return nil
		},
	}
	m.flags(cmd.Flags())
	return cmd
}

func newMinerBenchmark() *cobra.Command {
	c := miner.DefaultConfig()
	var state, model string
	var most int
	cmd := &cobra.Command{
		Use: "benchmark", Short: "Measure how many jobs at once the engine can do, and keep it for the miner", Args: requireNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := load(cmd); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintln(out, "at once  tokens/s together  tokens/s each, as paid")
			found, err := miner.Benchmark(cmd.Context(), c.EngineURL, model, most, func(l miner.Level) {
				fmt.Fprintf(out, "%7d  %17.1f  %22.1f\n", l.Parallel, l.TokensPerSecond, l.EachPerSecond)
			})
			if err != nil {
				return err
			}
			if err := found.Keep(minerState(state)); err != nil {
				return err
			}
			fmt.Fprintf(out, "%d slots for %s on %s: kept in %s, where a miner without --slots finds it\n", found.Slots, found.Model, found.Engine, minerState(state))
			return nil
		},
	}
	f := cmd.Flags()
	config.AddFileFlag(f)
	f.StringVar(&state, "state", defaultState(), "the miner's state folder, where the result is kept")
	f.StringVar(&c.EngineURL, "ollama-url", c.EngineURL, "the Ollama server")
	f.StringVar(&model, "model", "", "the model to measure")
	f.IntVar(&most, "most", 16, "how many at once to try, at most")
	if err := cmd.MarkFlagRequired("model"); err != nil {
		panic(err) // the flag is made above
	}
	return cmd
}

// ownerCommand is what the commands at the owner's port share.
type ownerCommand struct {
	state, address string
}

func (o *ownerCommand) command(use, short string, do func(cmd *cobra.Command, client minerv1.MinerServiceClient) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: requireNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := load(cmd); err != nil {
				return err
			}
			conn, err := grpc.NewClient(o.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				return fmt.Errorf("--miner: %w", err)
			}
			defer func() { err = errors.Join(err, conn.Close()) }()
			return do(cmd, minerv1.NewMinerServiceClient(conn))
		},
	}
	f := cmd.Flags()
	config.AddFileFlag(f)
	f.StringVar(&o.state, "state", defaultState(), "the miner's state folder, which has the owner's key")
	f.StringVar(&o.address, "miner", miner.DefaultConfig().Listen, "the miner's own port")
	return cmd
}

func newMinerStatus() *cobra.Command {
	o := &ownerCommand{}
	return o.command("status", "Show a running miner: session, models, jobs, earnings", func(cmd *cobra.Command, client minerv1.MinerServiceClient) error {
		return showMiner(cmd.Context(), cmd.OutOrStdout(), client)
	})
}

func newMinerTop() *cobra.Command {
	o := &ownerCommand{}
	var interval time.Duration
	cmd := o.command("top", "Show a running miner, again and again", func(cmd *cobra.Command, client minerv1.MinerServiceClient) error {
		ticker := time.NewTicker(max(interval, 100*time.Millisecond))
		defer ticker.Stop()
		for {
			fmt.Fprint(cmd.OutOrStdout(), "\x1b[H\x1b[2J") // home, clear
			if err := showMiner(cmd.Context(), cmd.OutOrStdout(), client); err != nil {
				if cmd.Context().Err() != nil {
					return nil
				}
				return err
			}
			select {
			case <-ticker.C:
			case <-cmd.Context().Done():
				return nil
			}
		}
	})
	cmd.Flags().DurationVar(&interval, "interval", time.Second, "how often to look")
	return cmd
}

func newMinerDrain() *cobra.Command {
	o := &ownerCommand{}
	return o.command("drain", "Have a running miner finish its jobs and leave", func(cmd *cobra.Command, client minerv1.MinerServiceClient) error {
		key, err := miner.OwnerKey(minerState(o.state))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(cmd.Context(), "x-api-key", key), ownerTimeout)
		defer cancel()
		answer, err := client.DrainMiner(ctx, &minerv1.DrainMinerRequest{})
		if err != nil {
			return fmt.Errorf("drain: %w", err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "The miner drains: %d jobs run; it leaves when they have ended.\n", answer.GetRunning())
		return nil
	})
}

// minerState is the miner's part of a state folder.
func minerState(state string) string { return filepath.Join(state, "miner") }

func showMiner(ctx context.Context, w io.Writer, client minerv1.MinerServiceClient) error {
	ctx, cancel := context.WithTimeout(ctx, ownerTimeout)
	defer cancel()
	response, err := client.GetStatus(ctx, &minerv1.GetStatusRequest{})
	if err != nil {
		return fmt.Errorf("ask the miner: %w", err)
	}
	earnings, err := client.GetEarnings(ctx, &minerv1.GetEarningsRequest{LastJobs: 5})
	if err != nil {
		return fmt.Errorf("ask the miner: %w", err)
	}
	s := response.GetStatus()
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "Miner:\t%s\n", s.GetMinerId())
	fmt.Fprintf(table, "Session:\t%s %s\n", s.GetSession(), s.GetCoordinator())
	if s.GetLastError() != "" {
		fmt.Fprintf(table, "Trouble:\t%s\n", s.GetLastError())
	}
	fmt.Fprintf(table, "Engine:\t%s at %s\n", s.GetEngine(), s.GetEngineUrl())
	fmt.Fprintf(table, "Slots:\t%d of %d taken\n", len(s.GetRunning()), s.GetSlots())
	fmt.Fprintf(table, "Attempts:\t%d with a result, %d without, %d results not accepted yet\n",
		s.GetCompletedAttempts(), s.GetFailedAttempts(), s.GetUnacceptedResults())
	for _, d := range s.GetDevices() {
		fmt.Fprintf(table, "Device:\t%s %s\t%s\n", d.GetKind(), d.GetName(), readings(d))
	}
	for _, m := range s.GetModels() {
		var facts []string
		if m.GetWarm() {
			facts = append(facts, "loaded")
		}
		if m.GetSlots() > 0 {
			facts = append(facts, fmt.Sprintf("%d at once", m.GetSlots()))
		}
		fmt.Fprintf(table, "Model:\t%s %.12s\t%s\n", m.GetName(), m.GetDigest(), strings.Join(facts, ", "))
	}
	for _, m := range s.GetWithheld() {
		fmt.Fprintf(table, "Withheld:\t%s\t%s\n", m.GetName(), m.GetWhy())
	}
	for _, p := range s.GetPulls() {
		fmt.Fprintf(table, "Pulls:\t%s\t%s\n", p.GetName(), pullText(p))
	}
	if names := s.GetPullableModels(); len(names) > 0 {
		fmt.Fprintf(table, "Pullable:\t%s\n", strings.Join(names, ", "))
	}
	for _, r := range s.GetRunning() {
		fmt.Fprintf(table, "Runs:\t%s %s\tfor %s\n", r.GetJobId(), r.GetModel(), time.Since(r.GetStartedAt().AsTime()).Round(time.Second))
	}
	for _, why := range s.GetWhy() {
		fmt.Fprintf(table, "Why:\t%s\n", why)
	}
	fmt.Fprintf(table, "Earned:\t%s in all\n", earnings.GetTotal())
	for _, day := range earnings.GetDays() {
		fmt.Fprintf(table, "\t%s  %s\t%d jobs, %.1f s, %d tokens\n", day.GetDay(), day.GetEarned(), day.GetJobs(), day.GetComputeTime(), day.GetOutputTokens())
	}
	for _, job := range earnings.GetLastJobs() {
		fmt.Fprintf(table, "Last:\t%s %s\t%.2f s, %s\n", job.GetJobId(), job.GetModel(), job.GetComputeTime(), job.GetEarned())
	}
	return table.Flush()
}

// pullText says how far a model's pull is.
func pullText(p *minerv1.PullStatus) string {
	text := "waits for its turn"
	if p.GetRequested() {
		text += ", a job needs it"
	}
	switch {
	case p.GetActive():
		text = fmt.Sprintf("%.1f of %.1f MiB", float64(p.GetCompletedBytes())/(1<<20), float64(p.GetTotalBytes())/(1<<20))
	case p.GetRequested() && p.GetLastError() != "":
		text = "waits until it is asked for again"
	case p.GetLastError() != "":
		text = "waits for the next try"
	}
	if p.GetLastError() != "" {
		text += "; the last failed: " + p.GetLastError()
	}
	return text
}

// readings says what a device measures of itself.
func readings(d *minerv1.DeviceStatus) string {
	var texts []string
	if d.Utilization != nil {
		texts = append(texts, fmt.Sprintf("%.0f %% busy", 100*d.GetUtilization()))
	}
	if d.MemoryUsedBytes != nil {
		texts = append(texts, fmt.Sprintf("%.1f GiB used", float64(d.GetMemoryUsedBytes())/(1<<30)))
	}
	if d.TemperatureCelsius != nil {
		texts = append(texts, fmt.Sprintf("%.0f °C", d.GetTemperatureCelsius()))
	}
	if d.PowerWatts != nil {
		texts = append(texts, fmt.Sprintf("%.0f W", d.GetPowerWatts()))
	}
	return strings.Join(texts, ", ")
}
