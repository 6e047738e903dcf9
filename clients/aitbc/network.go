package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func newReceipt(a *app) *cobra.Command {
	return group("receipt", "Work with receipts", &cobra.Command{
		Use: "get JOB_ID", Short: "Show a job's receipt and check what is signed in it", Args: jobArgument,
		Long: `Show a job's receipt and check its signatures against the job's result, without trust in the
coordinator. Whether the ledger holds the receipt is not checked, nor that the model was run.`,
		RunE: a.action(a.receipt),
	})
}

func (a *app) receipt(ctx context.Context, client *aitbc.Client, args []string) error {
	id, err := parseJob(args[0])
	if err != nil {
		return err
	}
	receipt, err := client.Receipt(ctx, id)
	if err != nil {
		return err
	}
	job, err := client.Get(ctx, id)
	if err != nil {
		return err
	}
	fault := aitbc.VerifyReceipt(receipt, []byte(job.Result))
	err = a.print(receipt, func(p *printer) {
		p.line("Receipt: %s", receipt.ID)
		p.line("Job ID: %s", receipt.JobID)
		p.line("Client: %s", receipt.Client)
		p.line("Miner: %s", receipt.Miner)
		p.line("Operator: %s", receipt.Operator)
		p.line("Paid: %s", coins(receipt.Paid))
		p.line("Refunded: %s", coins(receipt.Refunded))
		p.line("Metered: %s seconds at %s a second", strconv.FormatFloat(receipt.Meter.Metered.Seconds(), 'f', -1, 64), coins(receipt.Meter.PricePerSecond))
		p.line("Model: %s", receipt.Model)
		p.line("Result hash: %s", receipt.ResultHash)
		p.line("Block: %d", receipt.BlockHeight)
		p.line("Transaction: %s", receipt.TxHash)
		p.line("Time: %s", receipt.Time.Local().Format(time.DateTime))
		if fault == nil {
			p.line("Signatures: all check")
		}
	})
	return errors.Join(err, fault)
}

func newAccount(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "account", Short: "Show your account and the price", Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, _ []string) error {
			account, err := client.Account(ctx)
			if err != nil {
				return err
			}
			return a.print(account, func(p *printer) {
				p.line("Account: %s", account.ID)
				p.line("Balance: %s", coins(account.Balance))
				p.line("Escrowed: %s", coins(account.Escrowed))
				p.line("Allowance: %s", coins(account.Allowance))
				p.line("Available: %s", coins(account.Available))
				p.line("Price: %s a second", coins(account.PricePerSecond))
				p.line("Operator: %s", account.OperatorID)
				p.line("Chain: %s", account.ChainID)
			})
		}),
	}
}

func newModels(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "models", Short: "List the models that can be asked for", Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, _ []string) error {
			models, err := client.Models(ctx)
			if err != nil {
				return err
			}
			return a.print(map[string]any{"data": models}, func(p *printer) {
				p.row("MODEL", "MINERS", "DIGESTS")
				for _, m := range models {
					digests := make([]string, len(m.Digests))
					for i, digest := range m.Digests {
						digests[i] = digest.String()
					}
					p.row(m.Name, strconv.Itoa(m.Miners), strings.Join(digests, ","))
				}
			})
		}),
	}
}

func newMiners(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "miners", Short: "List the miners that the coordinator knows", Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, _ []string) error {
			miners, err := client.Miners(ctx)
			if err != nil {
				return err
			}
			return a.print(map[string]any{"miners": miners}, func(p *printer) {
				p.row("MINER", "STATUS", "RUNNING", "SLOTS", "STAKE", "REPUTATION", "ENGINE", "MODELS")
				for _, m := range miners {
					names := make([]string, len(m.Models))
					for i, model := range m.Models {
						names[i] = model.Name
					}
					p.row(m.ID.String(), m.Status, strconv.Itoa(m.Running), strconv.Itoa(m.Slots), coins(m.Stake),
						strconv.FormatFloat(m.Reputation, 'f', 2, 64), m.Engine, strings.Join(names, ","))
				}
			})
		}),
	}
}
