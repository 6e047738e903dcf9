package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// maxKeyRead bounds what is read for a key.
const maxKeyRead = 1024

func newLogin(a *app) *cobra.Command {
	var ledger string
	cmd := &cobra.Command{
		Use: "login", Short: "Keep an address and a key, so that commands need neither", Args: cobra.NoArgs,
		Long: `Keep an address and an API key in the configuration file, once the coordinator has taken them. The key comes
from --api-key or the environment, else it is asked for (or read from standard input, where a program may put it).
With --profile NAME several networks can be kept; aitbc profile use NAME changes between them. The file is
~/.config/aitbc/config.yaml, or AITBC_CONFIG; only you may read it.`,
		Example: `  aitbc login --url http://127.0.0.1:18000
  aitbc login --profile work --url https://aitbc.example.com < key.txt`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.login(cmd, ledger)
		},
	}
	cmd.Flags().StringVar(&ledger, "ledger", "", "a ledger's node to keep, too: host:port of its gRPC side")
	return cmd
}

func (a *app) login(cmd *cobra.Command, ledger string) error {
	all, err := a.readProfiles()
	if err != nil {
		return err
	}
	name := a.profileName(all)
	kept := all.Profiles[name]
	if !cmd.Flags().Changed("url") {
		a.url = firstSet(a.getenv("AITBC_URL"), kept.URL, defaultURL)
	}
	a.apiKey = firstSet(a.apiKey, a.getenv("AITBC_API_KEY"), a.getenv("CLIENT_KEY"))
	if a.apiKey == "" {
		if a.apiKey, err = a.askKey(); err != nil {
			return usageError{err}
		}
	}
	a.started = true
	account, err := a.tryKey(cmd.Context())
	if err != nil {
		return err
	}
	kept.URL, kept.APIKey = a.url, a.apiKey
	if ledger != "" {
		kept.Ledger = ledger
	}
	all.Profiles[name] = kept
	if all.Current == "" || cmd.Flags().Changed("profile") {
		all.Current = name
	}
	path, err := a.writeProfiles(all)
	if err != nil {
		return err
	}
	return a.print(map[string]any{"profile": name, "url": a.url, "account_id": account.ID, "file": path}, func(p *printer) {
		p.line("Logged in at %s as account %s.", a.url, account.ID)
		p.line("Kept as profile %s in %s.", name, path)
		if account.Available == 0 {
			p.line("What to do: the account has nothing to spend; ask the operator to fund %s.", account.ID)
		}
	})
}

// tryKey asks the coordinator whose key it is.
func (a *app) tryKey(ctx context.Context) (account *aitbc.Account, err error) {
	client, err := aitbc.New(a.url, aitbc.WithAPIKey(a.apiKey), a.userAgent())
	if err != nil {
		return nil, usageError{fmt.Errorf("--url: %w", err)}
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return client.Account(ctx)
}

// askKey reads a key, unseen on a terminal.
func (a *app) askKey() (string, error) {
	var text []byte
	var err error
	if file, ok := a.in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		fmt.Fprint(a.err, "API key: ")
		text, err = term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(a.err)
	} else {
		text, err = io.ReadAll(io.LimitReader(a.in, maxKeyRead))
	}
	if err != nil {
		return "", fmt.Errorf("read the API key: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if key == "" {
		return "", errors.New("no API key was given: use --api-key, or type it in; an operator makes one with: aitbcd coordinator keys create")
	}
	return key, nil
}

func newLogout(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "Forget the profile with its key", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := a.readProfiles()
			if err != nil {
				return err
			}
			name := a.profileName(all)
			if _, ok := all.Profiles[name]; !ok {
				return usageError{fmt.Errorf("there is no profile %q; there are: %v", name, sortedNames(all))}
			}
			a.started = true
			delete(all.Profiles, name)
			if all.Current == name {
				all.Current = ""
			}
			_, err = a.writeProfiles(all)
			return err
		},
	}
}
