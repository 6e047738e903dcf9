package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// newAccountRotate gives the account another key. The file of the old one stays as it is: until the
// ledger has said yes, it is the one that counts.
func newAccountRotate(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate NEW_KEY_FILE", Short: "Give your account another key; address, tokens and allowances stay", Args: cobra.ExactArgs(1),
		Long: `Give the API key's account another key, when the old one may have been seen or too many have it. NEW_KEY_FILE is made (mode 0600)
unless it is there. --key-file is the key that the account has now; it signs the change, and nothing from then on. Repeating it is
harmless. The account's address still names it everywhere, but does not follow from the new key: keep a note of it.`,
		Example: `  aitbc account rotate ~/.config/aitbc/account-2.key`,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withNode(func(ctx context.Context, client *aitbc.Client, node *aitbc.Ledger) error {
			return a.rotate(ctx, client, node, args[0])
		})(cmd, args)
	}
	a.ledgerFlag(cmd)
	return cmd
}

func (a *app) rotate(ctx context.Context, client *aitbc.Client, node *aitbc.Ledger, path string) error {
	key, err := a.accountKey()
	if err != nil {
		return err
	}
	account, err := client.Account(ctx)
	if err != nil {
		return err
	}
	next, err := aitbc.LoadOrCreateKey(path)
	if err != nil {
		return usageError{fmt.Errorf("NEW_KEY_FILE: %w", err)}
	}
	if next.Equal(key) {
		return usageError{errors.New("NEW_KEY_FILE: it has the same key as --key-file, want another")}
	}
	isDone, err := signsFor(ctx, node, account.ID, next)
	if err != nil {
		return err
	}
	if !isDone {
		if err := mustSignFor(ctx, node, account.ID, key); err != nil {
			return err
		}
		if err := aitbc.NewWallet(node, account.ID, key).Rotate(ctx, next); err != nil {
			return ledgerError{err}
		}
	}
	return a.print(map[string]any{"account_id": account.ID, "key_file": path}, func(p *printer) {
		p.line("Account: %s", account.ID)
		p.line("Key file: %s (give it as --key-file or AITBC_KEY_FILE from now on; the old key signs nothing any more)", path)
	})
}

// mustSignFor refuses a key that is not the account's.
func mustSignFor(ctx context.Context, node *aitbc.Ledger, account aitbc.AccountID, key ed25519.PrivateKey) error {
	isKey, err := signsFor(ctx, node, account, key)
	if err == nil && !isKey {
		err = usageError{fmt.Errorf("--key-file: it is the key of %s, and the API key is of %s, whose key it is not", accountOf(key), account)}
	}
	return err
}

// signsFor reports whether a key is the account's: the one that the ledger knows of it, else the one that
// its address was made from.
func signsFor(ctx context.Context, node *aitbc.Ledger, account aitbc.AccountID, key ed25519.PrivateKey) (bool, error) {
	answer, err := node.GetAccount(ctx, &ledgerv1.GetAccountRequest{AccountId: account.String()})
	if refused := new(aitbc.Error); errors.As(err, &refused) && refused.Code == codes.NotFound {
		return accountOf(key) == account, nil
	}
	if err != nil {
		return false, ledgerError{err}
	}
	if known := answer.GetAccount().GetPublicKey(); len(known) > 0 {
		return key.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(known)), nil
	}
	return accountOf(key) == account, nil
}
