package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator"
	"github.com/aitbc/aitbc/services/internal/config"
)

// keysTimeout bounds a command about keys: creating one waits for the ledger.
const keysTimeout = 20 * time.Second

func newKeys() *cobra.Command {
	k := &keysCommand{config: coordinator.DefaultConfig()}
	cmd := &cobra.Command{Use: "keys", Short: "Make, fund, list, rotate and revoke API keys"}
	f := cmd.PersistentFlags()
	config.AddFileFlag(f)
	f.StringVar(&k.config.StateDir, "state", defaultState(), "the coordinator's state folder")
	storeFlag(f, &k.config)
	ledgerFlag(f, &k.config)
	f.StringVar(&k.config.OperatorKey, "operator-key", "", "the operator's ledger key (default: keys/operator.key in the state folder)")
	f.StringSliceVar(&k.config.LedgerURLs, "ledger-url", k.config.LedgerURLs, "CometBFT JSON-RPC of ledger nodes; the next one is called when one fails or makes no blocks")
	f.StringVarP(&k.output, "output", "o", "text", "text or json")
	cmd.AddCommand(k.create(), k.fund(), k.list(), k.rotate(), k.revoke())
	return cmd
}

// keysCommand is what the commands about keys share.
type keysCommand struct {
	config coordinator.Config
	output string
}

// run opens the keys and does work with them.
func (k *keysCommand) run(cmd *cobra.Command, work func(ctx context.Context, keys *coordinator.Keys) error) (err error) {
	if err := load(cmd); err != nil {
		return err
	}
	if k.output != "text" && k.output != "json" {
		return fmt.Errorf("--output %q: want text or json", k.output)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), keysTimeout)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	keys, err := coordinator.OpenKeys(ctx, k.config, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	return work(ctx, keys)
}

func (k *keysCommand) create() *cobra.Command {
	var (
		r             coordinator.KeyRequest
		account, fund string
		spend         string
		priority      string
	)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make an API key; it is printed once",
		Long: `Makes an API key. For a client without --account a ledger account is made too: its key is kept here, sealed
(custodial), it gets --fund from the operator, and allows the operator to escrow it. A client with an account of its own grants
that allowance itself. While a job runs, a default job holds 6aitbc: fund more than that, or have clients set --max-price.
A reader may read what a client of the account may, and submits nothing.`,
		Args: requireNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if account != "" {
				if r.Account, err = aitbc.ParseAccountID(account); err != nil {
					return fmt.Errorf("--account: %w", err)
				}
			}
			if r.Fund, err = aitbc.ParseAmount(fund); err != nil {
				return fmt.Errorf("--fund: %w", err)
			}
			if r.SpendPerDay, err = aitbc.ParseAmount(spend); err != nil {
				return fmt.Errorf("--spend-per-day: %w", err)
			}
			if r.Priority, err = aitbc.ParsePriority(priority); err != nil {
				return fmt.Errorf("--priority: %w", err)
			}
			return k.run(cmd, func(ctx context.Context, keys *coordinator.Keys) error {
				made, err := keys.Create(ctx, r)
				if err != nil {
					return err
				}
				return k.printNew(cmd.OutOrStdout(), made)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Name, "name", "", "what to call it in lists")
	f.StringVar(&r.Scope, "scope", "client", "client, reader, miner or admin")
	f.StringVar(&account, "account", "", "the ledger account it belongs to")
	f.StringVar(&fund, "fund", "0aitbc", "tokens to send from the operator to the account")
	f.DurationVar(&r.Life, "life", 0, "how long it is valid; 0: until revoked")
	f.StringSliceVar(&r.Models, "models", nil, "the models that its jobs may ask for; none: all")
	f.StringVar(&priority, "priority", "normal", "the highest priority that its jobs may have: low, normal or high")
	f.StringVar(&spend, "spend-per-day", "0aitbc", "what its jobs of one day (UTC) may cost; 0aitbc: no limit")
	return cmd
}

func (k *keysCommand) rotate() *cobra.Command {
	var grace, life time.Duration
	cmd := &cobra.Command{
		Use:   "rotate KEY_ID",
		Short: "Make a key's successor, which is printed once; both work for a while",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return k.run(cmd, func(ctx context.Context, keys *coordinator.Keys) error {
				made, err := keys.Rotate(ctx, args[0], grace, life)
				if err != nil {
					return err
				}
				return k.printNew(cmd.OutOrStdout(), made)
			})
		},
	}
	f := cmd.Flags()
	f.DurationVar(&grace, "grace", coordinator.DefaultKeyGrace, "how long the old key goes on working")
	f.DurationVar(&life, "life", 0, "how long the new one is valid; 0: as long as the old one was given")
	return cmd
}

func (k *keysCommand) fund() *cobra.Command {
	return &cobra.Command{
		Use:   "fund ACCOUNT AMOUNT",
		Short: "Send tokens from the operator to an account, such as 10aitbc",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			account, err := aitbc.ParseAccountID(args[0])
			if err != nil {
				return err
			}
			amount, err := aitbc.ParseAmount(args[1])
			if err != nil {
				return err
			}
			return k.run(cmd, func(ctx context.Context, keys *coordinator.Keys) error {
				if err := keys.Fund(ctx, account, amount); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "sent %s to %s\n", amount, account)
				return nil
			})
		},
	}
}

func (k *keysCommand) printNew(w io.Writer, made coordinator.NewKey) error {
	if k.output == "json" {
		return json.NewEncoder(w).Encode(made)
	}
	fmt.Fprintf(w, "Key:     %s\nKey ID:  %s\nScope:   %s\nAccount: %s\n", made.Secret, made.ID, made.Scope, made.Account)
	fmt.Fprintln(w, "The key is shown this once.")
	return nil
}

func (k *keysCommand) list() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the API keys, without their secrets",
		Args:  requireNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return k.run(cmd, func(ctx context.Context, keys *coordinator.Keys) error {
				infos, err := keys.List(ctx)
				if err != nil {
					return err
				}
				return k.printList(cmd.OutOrStdout(), infos)
			})
		},
	}
}

func (k *keysCommand) printList(w io.Writer, infos []coordinator.KeyInfo) error {
	if k.output == "json" {
		return json.NewEncoder(w).Encode(infos)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY ID\tNAME\tSCOPE\tACCOUNT\tCREATED\tSTATE\tEXPIRES\tMODELS\tPRIORITY\tSPENT TODAY")
	for _, info := range infos {
		expires, models, spent := "never", "all", "-"
		if !info.ExpiresAt.IsZero() {
			expires = info.ExpiresAt.Format(time.RFC3339)
		}
		if len(info.Models) > 0 {
			models = strings.Join(info.Models, ",")
		}
		if info.SpendPerDay != nil {
			spent = info.SpentToday.String() + " of " + info.SpendPerDay.String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", info.ID, info.Name, info.Scope, info.Account,
			info.CreatedAt.Format(time.RFC3339), info.State, expires, models, info.Priority, spent)
	}
	return table.Flush()
}

func (k *keysCommand) revoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke KEY_ID",
		Short: "End an API key; a running coordinator refuses it within seconds",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return k.run(cmd, func(ctx context.Context, keys *coordinator.Keys) error {
				if err := keys.Revoke(ctx, args[0]); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "revoked %s\n", args[0])
				return nil
			})
		},
	}
}
