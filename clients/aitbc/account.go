package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// newAccountCreate makes an account of the user's own: a key. The ledger hears of it with its first tokens.
func newAccountCreate(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "create", Short: "Make an account of your own: a key file, which only you have", Args: cobra.NoArgs,
		Long: `Make an account of your own. Its key is written to --key-file (default ~/.config/aitbc/account.key, mode 0600); whoever has
the file has the account's tokens, and nobody can make it again. A file that is there already is left alone.`,
		RunE: a.local(func(context.Context, []string) error {
			path, err := a.accountFile()
			if err != nil {
				return err
			}
			_, statErr := os.Stat(path)
			key, err := aitbc.LoadOrCreateKey(path)
			if err != nil {
				return usageError{fmt.Errorf("--key-file: %w", err)}
			}
			account, isNew := accountOf(key), errors.Is(statErr, fs.ErrNotExist)
			return a.print(map[string]any{"account_id": account, "key_file": path, "created": isNew}, func(p *printer) {
				p.line("Account: %s", account)
				if isNew {
					p.line("Key file: %s (keep a copy: who has it has the tokens)", path)
				} else {
					p.line("Key file: %s (it was there already)", path)
				}
				p.line("What to do:")
				p.line("  1. get tokens: have somebody send some to the address; on a development network: aitbc account faucet %s", account)
				p.line("  2. get an API key for the account; an admin makes it with: aitbc keys create --account %s", account)
				p.line("  3. aitbc login")
				p.line("  4. sign each job with the key: aitbc run --key-file %s ...", path)
				p.line("     or allow the operator to spend for you: aitbc account allowance set 10aitbc --key-file %s", path)
			})
		}),
	}
}

func accountOf(key ed25519.PrivateKey) aitbc.AccountID {
	return aitbc.AccountOf(key.Public().(ed25519.PublicKey))
}

// accountFile is where the account's key is.
func (a *app) accountFile() (string, error) {
	if path := firstSet(a.keyFile, a.getenv("AITBC_KEY_FILE")); path != "" {
		return path, nil
	}
	config, err := a.profileFile()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(config), "account.key"), nil
}

// accountKey reads the account's key.
func (a *app) accountKey() (ed25519.PrivateKey, error) {
	path, err := a.accountFile()
	if err != nil {
		return nil, err
	}
	key, err := aitbc.LoadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError{fmt.Errorf("--key-file: there is no key file %s; aitbc account create makes one", path)}
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("--key-file: %w", err)}
	}
	return key, nil
}

func newAccountBalance(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "balance", Short: "Show what your account has and may spend", Args: cobra.NoArgs}
	a.watchable(cmd, func(ctx context.Context, client *aitbc.Client, _ []string) error {
		account, err := client.Account(ctx)
		if err != nil {
			return err
		}
		answer := map[string]any{
			"account_id": account.ID, "balance": account.Balance, "escrowed": account.Escrowed, "available": account.Available,
		}
		return a.print(answer, func(p *printer) {
			p.line("Balance: %s", coins(account.Balance))
			p.line("Escrowed: %s", coins(account.Escrowed))
			p.line("Available: %s", coins(account.Available))
		})
	})
	return cmd
}

func newFaucet(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "faucet [ADDRESS]", Short: "Get tokens on a development network", Args: cobra.MaximumNArgs(1),
		Long: `Bring the balance of an account up to 100 AITBC. The account is ADDRESS, else that of the key file. Only development networks
(aitbcd dev) have a faucet; it asks for no API key.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			account, err := a.addressOr(args)
			if err != nil {
				return err
			}
			return a.keyless(func(ctx context.Context, client *aitbc.Client, _ []string) error {
				filling, err := client.FillAccount(ctx, account)
				if err != nil {
					return err
				}
				return a.print(filling, func(p *printer) {
					p.line("Account: %s", filling.Account)
					p.line("Sent: %s", coins(filling.Sent))
					p.line("Balance: %s", coins(filling.Balance))
				})
			})(cmd, args)
		},
	}
}

// addressOr gives the account of an argument, else of the key file.
func (a *app) addressOr(args []string) (aitbc.AccountID, error) {
	if len(args) > 0 {
		account, err := aitbc.ParseAccountID(args[0])
		if err != nil {
			return account, usageError{err}
		}
		return account, nil
	}
	key, err := a.accountKey()
	if err != nil {
		return aitbc.AccountID{}, err
	}
	return accountOf(key), nil
}

func newAllowance(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "allowance", Short: "Show what the operator may escrow of your tokens without your signature", Args: cobra.NoArgs,
		RunE: a.withNode(func(ctx context.Context, client *aitbc.Client, node *aitbc.Ledger) error {
			account, err := client.Account(ctx)
			if err != nil {
				return err
			}
			allowance, err := node.Allowance(ctx, account.ID, account.OperatorID)
			if err != nil {
				return ledgerError{err}
			}
			return a.printAllowance(allowance)
		}),
	}
	a.ledgerFlag(cmd)
	cmd.AddCommand(newAllowanceSet(a), newAllowanceRevoke(a))
	return cmd
}

func (a *app) printAllowance(allowance *aitbc.Allowance) error {
	return a.print(allowance, func(p *printer) {
		p.line("Operator: %s", allowance.Operator)
		p.line("Allowance: %s", coins(allowance.Remaining))
		if allowance.PerJob > 0 {
			p.line("For one job: %s", coins(allowance.PerJob))
		}
		if allowance.PerDay > 0 {
			p.line("For one day: %s, of which today %s", coins(allowance.PerDay), coins(allowance.SpentToday))
		}
		if !allowance.ExpiresTime.IsZero() {
			p.line("Until: %s", allowance.ExpiresTime.Local().Format(time.DateTime))
		}
	})
}

func newAllowanceSet(a *app) *cobra.Command {
	var perJob, perDay string
	var life time.Duration
	cmd := &cobra.Command{
		Use: "set AMOUNT", Short: "Let the operator escrow this much of your tokens, in place of what it might before", Args: cobra.ExactArgs(1),
		Long: `Let the operator escrow this much of your tokens in all, so that jobs need no signature of yours. It is a limit and moves
nothing; what a job does not use counts as not spent. It is signed with the account's key (--key-file) and sent to a node of the ledger.`,
		Example: `  aitbc account allowance set 10aitbc --per-job 1aitbc --per-day 5aitbc`,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		most, err := parsePriceOf("AMOUNT", args[0])
		wanted := aitbc.Allowance{Remaining: most}
		var errs [2]error
		wanted.PerJob, errs[0] = amountFlag("per-job", perJob)
		wanted.PerDay, errs[1] = amountFlag("per-day", perDay)
		if err := errors.Join(err, errs[0], errs[1]); err != nil {
			return usageError{err}
		}
		return a.changeAllowance(func(ctx context.Context, wallet *aitbc.Wallet, account *aitbc.Account) error {
			wanted.Operator = account.OperatorID
			if life > 0 {
				wanted.ExpiresTime = account.LedgerTime.Add(life)
			}
			return wallet.Grant(ctx, wanted)
		})(cmd, args)
	}
	a.ledgerFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&perJob, "per-job", "", "what one job may hold, such as 1aitbc (default: no limit of its own)")
	f.StringVar(&perDay, "per-day", "", "what may be escrowed in one day (UTC) of the ledger's clock (default: no limit of its own)")
	f.DurationVar(&life, "life", 0, "how long it holds; 0: until revoked")
	return cmd
}

func newAllowanceRevoke(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke", Short: "Let the operator escrow nothing more without your signature", Args: cobra.NoArgs,
		RunE: a.changeAllowance(func(ctx context.Context, wallet *aitbc.Wallet, account *aitbc.Account) error {
			return wallet.Revoke(ctx, account.OperatorID)
		}),
	}
	a.ledgerFlag(cmd)
	return cmd
}

// changeAllowance signs a change with the account's key and shows what holds afterwards.
func (a *app) changeAllowance(change func(context.Context, *aitbc.Wallet, *aitbc.Account) error) func(*cobra.Command, []string) error {
	return a.withNode(func(ctx context.Context, client *aitbc.Client, node *aitbc.Ledger) error {
		key, err := a.accountKey()
		if err != nil {
			return err
		}
		account, err := client.Account(ctx)
		if err != nil {
			return err
		}
		if err := mustSignFor(ctx, node, account.ID, key); err != nil {
			return err
		}
		if err := change(ctx, aitbc.NewWallet(node, account.ID, key), account); err != nil {
			return ledgerError{err}
		}
		allowance, err := node.Allowance(ctx, account.ID, account.OperatorID)
		if err != nil {
			return ledgerError{err}
		}
		return a.printAllowance(allowance)
	})
}

// withNode makes what a command does out of a function that is given a client and a node of the ledger.
func (a *app) withNode(do func(ctx context.Context, client *aitbc.Client, node *aitbc.Ledger) error) func(*cobra.Command, []string) error {
	return a.keyed(func(ctx context.Context, client *aitbc.Client, _ []string) (err error) {
		node, err := aitbc.NewLedger(a.ledger, a.userAgent())
		if err != nil {
			return usageError{fmt.Errorf("--ledger: %w", err)}
		}
		defer func() { err = errors.Join(err, node.Close()) }()
		return do(ctx, client, node)
	})
}

// ledgerFlag makes the flag of commands that ask a node.
func (a *app) ledgerFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.ledger, "ledger", "",
		"a node of the ledger: host:port of its LedgerService, grpc:// or grpcs://; any will do")
	cmd.Flags().Lookup("ledger").DefValue = defaultLedger
}
