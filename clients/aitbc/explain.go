package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func newExplain(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "explain JOB_ID|MINER_ID", Short: "Say why a job is where it is, or why a miner gets the jobs it gets",
		Args: cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, args []string) error {
			if miner, err := aitbc.ParseAccountID(args[0]); err == nil {
				x, err := client.ExplainMiner(ctx, miner)
				if err != nil {
					return err
				}
				return a.print(x, func(p *printer) { p.explainMiner(x) })
			}
			id, err := parseJob(args[0])
			if err != nil {
				return err
			}
			x, err := client.Explain(ctx, id)
			if err != nil {
				return err
			}
			return a.print(x, func(p *printer) { p.explainJob(x) })
		}),
	}
}

func (p *printer) explainJob(x *aitbc.Explanation) {
	p.row("Job ID: " + x.JobID.String())
	p.row("Status: " + string(x.Status) + "/" + x.Phase)
	p.row("Why: " + x.Summary)
	if w := x.Wait; w != nil {
		p.row(fmt.Sprintf("Place: %d%s", w.Queue.Position, aboutText(w.Queue.Wait)))
	}
	p.pullRows(x.Wait)
	p.row("", "", "", "")
	for _, s := range x.Steps {
		p.row(s.Time.Local().Format(timeOfDay), stateText(s), attemptText(s), causeText(s))
	}
	for _, d := range x.Decisions {
		p.row("", "", "", "")
		p.row(fmt.Sprintf("Attempt %d", d.Attempt), "by "+d.By, fmt.Sprintf("%d eligible", d.Eligible), "")
		for _, c := range d.Compared {
			p.row("  "+c.MinerID.String(), score(c.Score), chosenText(c.MinerID == d.MinerID), "")
		}
		p.others(d)
	}
	if w := x.Wait; w != nil {
		p.row("", "", "", "")
		for _, c := range w.Miners {
			p.row("  "+c.MinerID.String(), score(c.Score), strings.Join(c.Obstacles, ", "), "")
		}
	}
	p.row("", "", "", "")
	m := x.Money
	p.row("Escrowed", coins(m.Escrowed), hashText(m.EscrowTx), "")
	p.row("Paid", coins(m.Paid), accountText(m.PaidTo), meteredText(m))
	p.row("Refunded", coins(m.Refunded), hashText(m.SettleTx), "")
}

// others prints why a decision was none of the other miners; those that were compared are there already.
func (p *printer) others(d aitbc.Decision) {
	if d.Others == nil {
		p.row("  why none of the others: not remembered any more", "", "", "")
		return
	}
	for _, c := range d.Others.Miners {
		if c.Score == 0 {
			p.row("  "+c.MinerID.String(), "", strings.Join(c.Obstacles, ", "), "")
		}
	}
	if more := d.Others.Known - len(d.Others.Miners); more > 0 {
		p.row(fmt.Sprintf("  and %d more; of all: %s", more, reasonsText(d.Others.Reasons)), "", "", "")
	}
}

// reasonsText lists counts, the most frequent first.
func reasonsText(counts map[string]int) string {
	reasons := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, reason := range reasons {
		reasons[i] = fmt.Sprintf("%d %s", counts[reason], reason)
	}
	return strings.Join(reasons, ", ")
}

func chosenText(chosen bool) string {
	if chosen {
		return "chosen"
	}
	return ""
}

// pullRows shows what is done about a model that no miner has.
func (p *printer) pullRows(w *aitbc.Wait) {
	if w == nil || w.Pull == nil {
		return
	}
	if pull := w.Pull; !pull.AskedTime.IsZero() {
		p.row(fmt.Sprintf("Pull: %.1f of %.1f MiB at %s, since %s", float64(pull.CompletedBytes)/(1<<20), float64(pull.TotalBytes)/(1<<20),
			pull.MinerID, pull.AskedTime.Local().Format(time.TimeOnly)))
	}
	for _, f := range w.Pull.Failures {
		p.row(fmt.Sprintf("Pull failed: at %s, %s: %s", f.MinerID, f.Time.Local().Format(time.TimeOnly), f.Message))
	}
}

// timeOfDay shows the milliseconds that tell steps apart.
const timeOfDay = "2006-01-02 15:04:05.000"

func stateText(s aitbc.Step) string {
	if s.Outcome == "" {
		return s.Phase
	}
	return s.Phase + "/" + string(s.Outcome)
}

func attemptText(s aitbc.Step) string {
	if s.Attempt == 0 {
		return ""
	}
	return fmt.Sprintf("attempt %d at %s", s.Attempt, s.MinerID)
}

func causeText(s aitbc.Step) string {
	if s.Reason == "" {
		return ""
	}
	return fmt.Sprintf("%s (%s)", s.Message, s.Reason)
}

func aboutText(wait time.Duration) string {
	if wait == 0 {
		return ""
	}
	return ", about " + secondsText(wait)
}

func meteredText(m aitbc.Money) string {
	if m.Metered == 0 {
		return ""
	}
	return fmt.Sprintf("%s at %s a second", secondsText(m.Metered), coins(m.PricePerSecond))
}

func score(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }

func hashText(h aitbc.Hash) string {
	if h.IsZero() {
		return ""
	}
	return "tx " + h.String()
}

func accountText(id aitbc.AccountID) string {
	if id.IsZero() {
		return ""
	}
	return "to " + id.String()
}

func (p *printer) explainMiner(x *aitbc.MinerExplanation) {
	p.row("Miner: " + x.MinerID.String())
	p.row("Status: " + x.Status)
	p.row("Why: " + x.Summary)
	p.row(fmt.Sprintf("Reputation: %s from %d attempts, %d failures in a row", score(x.Reputation), x.Jobs, x.FailuresInARow))
	p.row(fmt.Sprintf("Decisions: compared in %d, won %d", x.Compared, x.Won))
	if l := x.LastLost; l != nil {
		p.row(fmt.Sprintf("Last lost: %s, with %s against %s", l.Time.Local().Format(timeOfDay), score(l.Score), score(l.WinningScore)))
	}
	if len(x.Waiting) > 0 {
		p.row("", "", "", "")
		p.row("WAITING", "MODEL", "PRICE", "WHAT KEEPS IT")
	}
	for _, w := range x.Waiting {
		p.row(strconv.Itoa(w.Jobs), w.Model, coins(w.PricePerSecond), strings.Join(w.Obstacles, ", "))
	}
	if len(x.Passed) > 0 {
		p.row("", "", "", "")
		p.row("WENT TO ANOTHER", "MODEL", "PRICE", "WHY")
	}
	for _, d := range x.Passed {
		p.row(d.Time.Local().Format(timeOfDay), d.Model, coins(d.PricePerSecond), strings.Join(d.Reasons, ", ")+againstText(d))
	}
}

func againstText(d aitbc.PassedDecision) string {
	if d.Score == 0 {
		return ""
	}
	return fmt.Sprintf(", %s against %s", score(d.Score), score(d.WinningScore))
}
