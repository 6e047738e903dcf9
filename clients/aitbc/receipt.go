package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/verify"
)

func newReceipt(a *app) *cobra.Command {
	return group("receipt", "Work with receipts", newReceiptGet(a), newReceiptExport(a), newReceiptVerify(a), newReceiptRefresh(a))
}

func newReceiptGet(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "get JOB_ID", Short: "Show a job's receipt and check what is signed in it", Args: jobArgument,
		Long: `Show a job's receipt and check its signatures against the job's result, without trust in the
coordinator. Whether the ledger holds the receipt is not checked (aitbc receipt verify does), nor
that the model was run.`,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, args []string) error {
			receipt, result, err := fetch(ctx, client, args[0])
			if err != nil {
				return err
			}
			fault := aitbc.VerifyReceipt(receipt, result)
			err = a.print(receipt, func(p *printer) {
				p.receipt(receipt)
				p.line("Block: %d", receipt.BlockHeight)
				p.line("Transaction: %s", receipt.TxHash)
				p.line("Time: %s", receipt.Time.Local().Format(time.DateTime))
				if fault == nil {
					p.line("Signatures: all check")
				}
			})
			return errors.Join(err, fault)
		}),
	}
}

// fetch gets a job's receipt and its result.
func fetch(ctx context.Context, client *aitbc.Client, jobOrReceipt string) (*aitbc.Receipt, []byte, error) {
	id, err := parseJob(jobOrReceipt)
	if err != nil {
		return nil, nil, err
	}
	receipt, err := client.Receipt(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	job, err := client.Get(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	return receipt, []byte(job.Result), nil
}

// receipt prints what a receipt says and its signatures bear out.
func (p *printer) receipt(r *aitbc.Receipt) {
	p.line("Receipt: %s", r.ID)
	p.line("Job ID: %s", r.JobID)
	p.line("Client: %s", r.Client)
	p.line("Miner: %s", r.Miner)
	p.line("Operator: %s", r.Operator)
	p.line("Paid: %s", coins(r.Paid))
	p.line("Refunded: %s", coins(r.Refunded))
	p.line("Metered: %s seconds at %s a second", strconv.FormatFloat(r.Meter.Metered.Seconds(), 'f', -1, 64), coins(r.Meter.PricePerSecond))
	p.line("Model: %s", r.Model)
	p.line("Result hash: %s", r.ResultHash)
}

// proofFlags say who proves a receipt, and against which block.
type proofFlags struct {
	blockHash string
}

func (f *proofFlags) register(a *app, cmd *cobra.Command, blockHash string) {
	a.ledgerFlag(cmd)
	cmd.Flags().StringVar(&f.blockHash, "block-hash", "", blockHash)
}

// at gives the block to prove against; the zero one is the latest.
func (f *proofFlags) at() (verify.At, error) {
	if f.blockHash == "" {
		return verify.At{}, nil
	}
	hash, err := aitbc.ParseHash(f.blockHash)
	if err == nil && hash.IsZero() {
		err = aitbc.ErrMalformed
	}
	if err != nil {
		return verify.At{}, usageError{fmt.Errorf("--block-hash: %w", err)}
	}
	return verify.At{BlockHash: hash}, nil
}

// prove gets the proof of a receipt from a node.
func (a *app) prove(ctx context.Context, f *proofFlags, receipt *aitbc.Receipt, result []byte) (b *verify.Bundle, err error) {
	at, err := f.at()
	if err != nil {
		return nil, err
	}
	node, err := aitbc.NewLedger(a.ledger, a.userAgent())
	if err != nil {
		return nil, usageError{fmt.Errorf("--ledger: %w", err)}
	}
	defer func() {
		if closeErr := node.Close(); err == nil {
			err = closeErr
		}
	}()
	if b, err = verify.Prove(ctx, node, receipt, result, at); err != nil {
		return nil, ledgerError{err}
	}
	return b, nil
}

// ledgerError is an error of what was asked of the ledger's node and not of the coordinator.
type ledgerError struct{ error }

func (e ledgerError) Unwrap() error { return e.error }
