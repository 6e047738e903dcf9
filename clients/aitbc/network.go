package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func newAccount(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "account", Short: "Show your account and the price", Args: cobra.NoArgs,
	}
	a.watchable(cmd, func(ctx context.Context, client *aitbc.Client, _ []string) error {
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
	})
	cmd.AddCommand(newAccountCreate(a), newAccountRotate(a), newAccountBalance(a), newAllowance(a), newFaucet(a), newStatement(a))
	return cmd
}

func newStatement(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "statement", Short: "Explain every unit of your account, newest first", Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, _ []string) error {
			if limit < 1 {
				return usageError{fmt.Errorf("--limit is %d, want at least 1", limit)}
			}
			entries := []*aitbc.StatementEntry{}
			for entry, err := range client.Statement(ctx) {
				if err != nil {
					return err
				}
				if entries = append(entries, entry); len(entries) == limit {
					break
				}
			}
			return a.print(map[string]any{"entries": entries}, func(p *printer) {
				p.row("TIME", "BLOCK", "WHAT", "AMOUNT", "BALANCE", "JOB")
				for _, e := range entries {
					balance, job := "", ""
					if e.JobID != (aitbc.JobID{}) {
						job = e.JobID.String()
					}
					if e.Balance != nil {
						balance = coins(*e.Balance)
					}
					p.row(e.Time.Local().Format(time.DateTime), strconv.FormatInt(e.BlockHeight, 10), e.Kind, coins(e.Amount), balance, job)
				}
			})
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many")
	return cmd
}

func newModels(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "models", Short: "List the models that can be asked for", Args: cobra.NoArgs,
	}
	a.watchable(cmd, func(ctx context.Context, client *aitbc.Client, _ []string) error {
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
	})
	return cmd
}

func newMiners(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "miners", Short: "List the miners that the coordinator knows", Args: cobra.NoArgs,
	}
	a.watchable(cmd, func(ctx context.Context, client *aitbc.Client, _ []string) error {
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
	})
	return cmd
}
