package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func newKeys(a *app) *cobra.Command {
	return group("keys", "Make, list, rotate and revoke API keys (with an admin's key)", newKeysCreate(a), newKeysList(a), newKeysRotate(a), newKeysRevoke(a))
}

// keyWish is the flags that describe a key.
type keyWish struct {
	req                         aitbc.CreateKeyRequest
	scope, account, spend, fund string
	priority                    string
}

func (w *keyWish) request() (aitbc.CreateKeyRequest, error) {
	req := w.req
	req.Scope = aitbc.Scope(w.scope)
	var errs [4]error
	if w.account != "" {
		req.Account, errs[0] = aitbc.ParseAccountID(w.account)
	}
	req.SpendPerDay, errs[1] = amountFlag("spend-per-day", w.spend)
	req.Fund, errs[2] = amountFlag("fund", w.fund)
	req.Priority, errs[3] = priorityFlag(w.priority)
	if err := errors.Join(errs[:]...); err != nil {
		return req, usageError{err}
	}
	return req, nil
}

func newKeysCreate(a *app) *cobra.Command {
	var wish keyWish
	cmd := &cobra.Command{
		Use: "create", Short: "Make an API key; it is printed once", Args: cobra.NoArgs,
		Long: `Make an API key. For a client without --account a ledger account is made too, whose key the operator keeps; it gets
--fund from the operator. A client with an account of its own funds it and sets the operator's allowance itself: aitbc account.
A reader may read what a client of the account may, and submits nothing.`,
		Example: `  aitbc keys create --name shop --fund 50aitbc --models llama3.2 --spend-per-day 5aitbc --life 2160h
  aitbc keys create --name dashboard --scope reader --account ACCOUNT`,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, _ []string) error {
			req, err := wish.request()
			if err != nil {
				return err
			}
			made, err := client.CreateKey(ctx, req)
			if err != nil {
				return err
			}
			return a.printNewKey(made)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&wish.req.Name, "name", "", "what to call it in lists")
	f.StringVar(&wish.scope, "scope", string(aitbc.ScopeClient), "client, reader, miner or admin")
	f.StringVar(&wish.account, "account", "", "the ledger account it belongs to")
	f.StringSliceVar(&wish.req.Models, "models", nil, "the models that its jobs may ask for; none: all")
	f.StringVar(&wish.priority, "priority", "", "the highest priority that its jobs may have: low, normal (default) or high")
	f.StringVar(&wish.spend, "spend-per-day", "", "what its jobs of one day (UTC) may cost, such as 5aitbc (default: no limit)")
	f.DurationVar(&wish.req.Life, "life", 0, "how long it is valid; 0: until revoked")
	f.StringVar(&wish.fund, "fund", "", "tokens to send from the operator to the new account, such as 10aitbc")
	f.StringVar(&wish.req.RequestID, "request-id", "", "make this at most once: the same id gives the same key")
	return cmd
}

func newKeysRotate(a *app) *cobra.Command {
	var req aitbc.RotateKeyRequest
	cmd := &cobra.Command{
		Use: "rotate KEY_ID", Short: "Make a key's successor, which is printed once; both work for a while", Args: cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, args []string) error {
			wanted := req
			wanted.ID = args[0]
			if wanted.Grace == 0 {
				wanted.Grace = -1 // the SDK's zero is the default
			}
			made, err := client.RotateKey(ctx, wanted)
			if err != nil {
				return err
			}
			return a.printNewKey(made)
		}),
	}
	f := cmd.Flags()
	f.DurationVar(&req.Grace, "grace", 24*time.Hour, "how long the old key goes on working")
	f.DurationVar(&req.Life, "life", 0, "how long the new one is valid; 0: as long as the old one was given")
	f.StringVar(&req.RequestID, "request-id", "", "rotate at most once: the same id gives the same key")
	return cmd
}

// printNewKey prints the only copy of a secret.
func (a *app) printNewKey(made *aitbc.NewAPIKey) error {
	return a.print(made, func(p *printer) {
		p.line("Key: %s", made.Secret)
		p.line("Key ID: %s", made.Key.ID)
		p.line("Scope: %s", string(made.Key.Scope))
		p.line("Account: %s", made.Key.Account)
		if !made.Key.ExpiresTime.IsZero() {
			p.line("Expires: %s", made.Key.ExpiresTime.Local().Format(time.DateTime))
		}
		if made.Replaced != nil {
			p.line("Replaces: %s, which works until %s", made.Replaced.ID, made.Replaced.ExpiresTime.Local().Format(time.DateTime))
		}
		p.line("The key is shown this once. Its user keeps it with: aitbc login")
	})
}

func newKeysList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the API keys, without their secrets", Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, _ []string) error {
			keys := []*aitbc.APIKey{}
			for key, err := range client.Keys(ctx) {
				if err != nil {
					return err
				}
				keys = append(keys, key)
			}
			return a.print(map[string]any{"keys": keys}, func(p *printer) {
				p.row("KEY ID", "NAME", "SCOPE", "STATE", "EXPIRES", "MODELS", "PRIORITY", "SPENT TODAY", "ACCOUNT")
				for _, key := range keys {
					p.row(key.ID, key.Name, string(key.Scope), string(key.State), expiryText(key), modelsText(key), key.Priority.String(), spentText(key), key.Account.String())
				}
			})
		}),
	}
}

func expiryText(key *aitbc.APIKey) string {
	if key.ExpiresTime.IsZero() {
		return "never"
	}
	return key.ExpiresTime.Local().Format(time.DateTime)
}

func modelsText(key *aitbc.APIKey) string {
	if len(key.Models) == 0 {
		return "all"
	}
	return strings.Join(key.Models, ",")
}

func spentText(key *aitbc.APIKey) string {
	if key.SpendPerDay == 0 {
		return "-"
	}
	return fmt.Sprintf("%s of %s", key.SpentToday.Decimal(), coins(key.SpendPerDay))
}

func newKeysRevoke(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "revoke KEY_ID", Short: "End an API key; within 2 s nobody takes it any more", Args: cobra.ExactArgs(1),
		RunE: a.action(func(ctx context.Context, client *aitbc.Client, args []string) error {
			key, err := client.RevokeKey(ctx, args[0])
			if err != nil {
				return err
			}
			return a.print(key, func(p *printer) {
				p.line("Key ID: %s", key.ID)
				p.line("State: %s", string(key.State))
			})
		}),
	}
}

// priorityFlag reads a priority that may be left out.
func priorityFlag(word string) (aitbc.Priority, error) {
	p, err := aitbc.ParsePriority(word)
	if err != nil {
		return 0, fmt.Errorf("--priority: %w", err)
	}
	return p, nil
}

// amountFlag reads an amount that may be left out.
func amountFlag(flag, text string) (aitbc.Amount, error) {
	if text == "" {
		return 0, nil
	}
	amount, err := parseAmount(text)
	if err != nil {
		return 0, fmt.Errorf("--%s is %q, want an amount such as 0.25aitbc", flag, text)
	}
	return amount, nil
}
