// Command devnet is `make run`: it finds or makes an engine, starts a whole network in one process
// (`aitbcd dev`), sends the seed document's job through it, shows what came of it, and stays up.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/devnet/network"
	"github.com/aitbc/aitbc/tools/engine"
)

// startTimeout bounds the start of the network on a slow machine.
const startTimeout = 2 * time.Minute

// clientKey is the API key that every `aitbcd dev` network has.
const clientKey = "client_dev_key_1"

type settings struct {
	bin, state, model, prompt string
	once                      bool
	args                      []string // for aitbcd dev
}

func main() {
	var s settings
	flag.StringVar(&s.bin, "bin", "bin", "folder with aitbcd and aitbc")
	flag.StringVar(&s.state, "state", "state/dev", "folder of the network's state; it survives restarts")
	flag.StringVar(&s.model, "model", engine.Tiny().Name, "model of the first job; others than tiny must be in a running Ollama")
	flag.StringVar(&s.prompt, "prompt", "What is machine learning?", "prompt of the first job")
	flag.BoolVar(&s.once, "once", false, "stop after the first job")
	flag.Parse()
	s.args = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "devnet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	state, err := filepath.Abs(s.state)
	if err != nil {
		return err
	}
	fmt.Println("finding an engine (the first time without Ollama it is built, which takes minutes) ...")
	served, err := engine.Start(ctx, engine.Options{
		Models: []engine.Model{{Name: s.model, Foreign: s.model != engine.Tiny().Name}}, Progress: os.Stdout,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, served.Stop()) }()
	fmt.Printf("engine: Ollama %s at %s\n", served.Version(), served.URL())

	started, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	n, err := network.Start(started, network.Options{
		Program: filepath.Join(s.bin, "aitbcd"), State: state, EngineURL: served.URL(), FixedPorts: true, Args: s.args,
	})
	if err != nil {
		return fmt.Errorf("%w\nFlags for the network go into ARGS: make run ARGS='--rest-listen 127.0.0.1:28000'. State of an older version goes with: make clean", err)
	}
	defer func() { err = errors.Join(err, n.Stop()) }()
	fmt.Printf("network: up, state in %s, log in %s\n\n", s.state, n.LogFile())
	if err := firstJob(ctx, n, s); err != nil {
		return err
	}
	if s.once {
		return nil
	}
	usage(n, s)
	select {
	case <-ctx.Done():
		fmt.Println("\nstopping ...")
		return nil
	case <-n.Exited():
		return fmt.Errorf("the network ended: %w; see %s", n.ExitErr(), n.LogFile())
	}
}

// firstJob sends one job through the network and shows answer, receipt and money.
func firstJob(ctx context.Context, n *network.Network, s settings) error {
	client, err := aitbc.New(n.CoordinatorGRPC, aitbc.WithAPIKey(clientKey))
	if err != nil {
		return err
	}
	defer client.Close()
	before, err := client.Account(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("> %s\n", s.prompt)
	job, err := client.Run(ctx, aitbc.SubmitRequest{Prompt: s.prompt, Model: s.model})
	if err != nil {
		return err
	}
	receipt, err := client.Receipt(ctx, job.ID)
	if err != nil {
		return err
	}
	if err := aitbc.VerifyReceipt(receipt, []byte(job.Result)); err != nil {
		return fmt.Errorf("the receipt does not check: %w", err)
	}
	after, err := client.Account(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n\n", job.Result)
	fmt.Printf("Job ID:       %s\n", job.ID)
	fmt.Printf("Status:       %s, in %s\n", job.Status, job.CompletedTime.Sub(job.SubmittedTime).Round(time.Millisecond))
	fmt.Printf("Receipt:      %s (signatures checked)\n", receipt.ID)
	fmt.Printf("Block height: %d, transaction %s\n", receipt.BlockHeight, receipt.TxHash)
	fmt.Printf("Cost:         %s of at most %s held in escrow\n", job.Cost, job.MaxPrice)
	fmt.Printf("Balance:      %s before, %s after\n\n", before.Balance, after.Balance)
	return nil
}

func usage(n *network.Network, s settings) {
	fmt.Printf(`The network stays up until Ctrl-C. From another terminal, in this folder:

  curl -s -H 'X-Api-Key: %[1]s' http://%[2]s/v1/jobs -d '{"type":"inference","prompt":"Name an animal.","model":"%[3]s"}'
  clients/aitbc/aitbc-cli.sh submit inference --prompt "Name an animal." --model %[3]s --wait
  %[5]s/grpcurl -plaintext -H 'x-api-key: %[1]s' -d '{"type":"inference","prompt":"Name an animal.","model":"%[3]s"}' %[4]s aitbc.coordinator.v1.JobService/SubmitJob
`, clientKey, n.CoordinatorREST, s.model, n.CoordinatorGRPC, s.bin)
}
