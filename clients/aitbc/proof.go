package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/verify"
)

func newReceiptExport(a *app) *cobra.Command {
	var flags proofFlags
	var path string
	cmd := &cobra.Command{
		Use: "export JOB_ID", Short: "Write a job's receipt, its result and their proof into one file", Args: jobArgument,
		Long: `Write a job's receipt, its result and the proof that the ledger holds it into one file, which
aitbc receipt verify checks without asking anybody. It has the answer in it: keep it as you keep that.`,
		Example: `  aitbc receipt export job_01jjsbfpdr041061050r3gg28a -o receipt.json`,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, args []string) error {
			receipt, result, err := fetch(ctx, client, args[0])
			if err != nil {
				return err
			}
			b, err := a.prove(ctx, &flags, receipt, result)
			if err != nil {
				return err
			}
			return a.save(b, path)
		}),
	}
	flags.register(a, cmd, "prove it against the block with this hash (default: the latest)")
	cmd.Flags().StringVarP(&path, "output", "o", "", "the file to write")
	if err := cmd.MarkFlagRequired("output"); err != nil {
		panic(err) // the flag is made above
	}
	return cmd
}

func newReceiptRefresh(a *app) *cobra.Command {
	var flags proofFlags
	cmd := &cobra.Command{
		Use: "refresh FILE", Short: "Prove an exported receipt against a later block", Args: cobra.ExactArgs(1),
		Long: `Get a proof against a later block from any node of the ledger and put it into the file, which
stays as it is when that fails. A proof serves as long as its own block's hash is known and trusted.`,
		Example: `  aitbc receipt refresh receipt.json --ledger ledger.example.org:18003`,
		RunE: a.local(func(ctx context.Context, args []string) error {
			old, err := readBundle(args[0])
			if err != nil {
				return err
			}
			b, err := a.prove(ctx, &flags, old.Receipt, old.Result)
			if err != nil {
				return err
			}
			return a.save(b, args[0])
		}),
	}
	flags.register(a, cmd, "prove it against the block with this hash (default: the latest)")
	return cmd
}

func newReceiptVerify(a *app) *cobra.Command {
	var flags proofFlags
	cmd := &cobra.Command{
		Use: "verify FILE|JOB_ID", Short: "Check a receipt: its result, its signatures, and that the chain holds it", Args: cobra.ExactArgs(1),
		Long: `Check a receipt from the bytes of the result to the hash of a block. A FILE that aitbc receipt export
wrote is checked without asking anybody. For a JOB_ID the receipt comes from the coordinator and the
proof from a node of the ledger; neither is believed.

Take the block's hash from somewhere you trust, not from the file. Without --block-hash the chain is
not checked: the signatures of operator, miner and client are right, but anybody can make up a chain.
That the model was run is never proven.`,
		Example: `  aitbc receipt verify receipt.json --block-hash 5f2c...`,
	}
	flags.register(a, cmd, "the hash of the file's block, from somewhere you trust (64 hex digits)")
	online := a.action(func(ctx context.Context, client *aitbc.Client, args []string) error {
		receipt, result, err := fetch(ctx, client, args[0])
		if err != nil {
			return err
		}
		b, err := a.prove(ctx, &flags, receipt, result)
		if err != nil {
			return err
		}
		return a.verdict(b, &flags)
	})
	offline := a.local(func(_ context.Context, args []string) error {
		b, err := readBundle(args[0])
		if err != nil {
			return err
		}
		return a.verdict(b, &flags)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := parseJob(args[0]); err == nil {
			return online(cmd, args)
		}
		return offline(cmd, args)
	}
	return cmd
}

// verdict checks a bundle and tells what that proves.
func (a *app) verdict(b *verify.Bundle, flags *proofFlags) error {
	at, err := flags.at()
	if err != nil {
		return err
	}
	anchored := !at.BlockHash.IsZero()
	if anchored {
		err = verify.Receipt(b, at.BlockHash)
	} else {
		err = verify.Consistent(b)
	}
	if err != nil {
		return err
	}
	return a.print(proofReportOf(b, anchored), func(p *printer) {
		p.receipt(b.Receipt)
		p.line("Place in the log: %d of %d", b.Proof.LogIndex+1, b.Proof.Roots.LogSize)
		p.proofBlock(b)
		p.line("Signatures: all check")
		if anchored {
			p.line("Chain: checked, up to the block hash given")
			return
		}
		p.line("Chain: NOT checked, only signatures. Give the hash of block %d, from somewhere you trust: --block-hash HEX", b.Block.Header.Height)
	})
}

// proofBlock prints the block that a proof leads to.
func (p *printer) proofBlock(b *verify.Bundle) {
	h := b.Block.Header
	p.line("Block: %d of chain %s, %s", h.Height, h.ChainID, h.Time.Local().Format(time.DateTime))
	p.line("Block hash: %s", b.Block.Hash())
}

// proofReport is what is told of a proof in JSON.
type proofReport struct {
	ReceiptID    string          `json:"receipt_id"`
	JobID        aitbc.JobID     `json:"job_id"`
	Client       aitbc.AccountID `json:"client"`
	Miner        aitbc.AccountID `json:"miner"`
	Operator     aitbc.AccountID `json:"operator"`
	Paid         aitbc.Amount    `json:"amount_paid"`
	Refunded     aitbc.Amount    `json:"amount_refunded"`
	ResultHash   aitbc.Hash      `json:"result_hash"`
	LogIndex     uint64          `json:"log_index"`
	LogSize      uint64          `json:"log_size"`
	ChainID      string          `json:"chain_id"`
	BlockHeight  int64           `json:"block_height"`
	BlockHash    aitbc.Hash      `json:"block_hash"`
	BlockTime    time.Time       `json:"block_time"`
	ChainChecked bool            `json:"chain_checked"`
}

func proofReportOf(b *verify.Bundle, anchored bool) proofReport {
	r, h := b.Receipt, b.Block.Header
	return proofReport{
		ReceiptID: r.ID, JobID: r.JobID, Client: r.Client, Miner: r.Miner, Operator: r.Operator, Paid: r.Paid, Refunded: r.Refunded,
		ResultHash: r.ResultHash, LogIndex: b.Proof.LogIndex, LogSize: b.Proof.Roots.LogSize,
		ChainID: h.ChainID, BlockHeight: h.Height, BlockHash: b.Block.Hash(), BlockTime: h.Time, ChainChecked: anchored,
	}
}

// readBundle reads an exported receipt.
func readBundle(path string) (*verify.Bundle, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, usageError{fmt.Errorf("want a job id, or a file of aitbc receipt export: %w", err)}
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, verify.MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return verify.Decode(data)
}

// save writes a bundle: the file is either the old one or the whole new one.
func (a *app) save(b *verify.Bundle, path string) error {
	data, err := b.Encode()
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".aitbc-*") // for the owner's eyes alone
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(draft.Name()) }() // gone already when all went well
	_, err = draft.Write(data)
	if err = errors.Join(err, draft.Sync(), draft.Close()); err == nil {
		err = os.Rename(draft.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return a.print(proofReportOf(b, false), func(p *printer) {
		p.line("Receipt: %s", b.Receipt.ID)
		p.line("File: %s", path)
		p.proofBlock(b)
	})
}
