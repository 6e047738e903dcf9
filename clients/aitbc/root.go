package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

const (
	defaultURL = "http://127.0.0.1:18000"

	defaultLedger = "127.0.0.1:18003"
)

// app is one run of the program.
type app struct {
	streams
	url     string
	apiKey  string
	keyFile string
	profile string
	ledger  string // of the commands that ask a node
	output  string
	timeout time.Duration
	outTTY  bool // answers go to a terminal
	errTTY  bool
	started bool // the command line was understood
}

func newApp(s streams) *app {
	return &app{streams: s, output: outputText, outTTY: isTerminal(s.out), errTTY: isTerminal(s.err)}
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "aitbc",
		Short: "Ask AI models on an AITBC network",
		Long: `Ask AI models on an AITBC network: submit a job, read its result, check its receipt.

Settings: flags, then the environment, then the profile that aitbc login has kept, then defaults.
AITBC_URL, and AITBC_API_KEY or CLIENT_KEY, stand for --url and --api-key, AITBC_LEDGER for --ledger,
AITBC_PROFILE for --profile, AITBC_KEY_FILE for --key-file. A key on the command line can be seen by other users of the machine.
NO_COLOR turns colours off.

Exit codes: ` + exitCodesText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Name() == "login" || cmd.Name() == "logout" || cmd.HasParent() && cmd.Parent().Name() == "profile" {
				return a.checkOutput() // they change what the others are given
			}
			return errors.Join(a.checkOutput(), a.settle(cmd.Flags()))
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.url, "url", "",
		"the coordinator: http://, https://, grpc://, grpcs:// or host:port of its gRPC side")
	flags.StringVar(&a.apiKey, "api-key", "", "the API key")
	flags.StringVar(&a.profile, "profile", "", "the profile to use; aitbc login makes them")
	flags.StringVar(&a.keyFile, "key-file", "",
		"sign each order with the account's own key in this file (mode 0600): the operator needs no allowance")
	flags.StringVarP(&a.output, "output", "o", outputText, "how to print: "+strings.Join(outputs(), ", "))
	flags.DurationVar(&a.timeout, "timeout", 0, "how long the whole command may take; 0: as long as it does")
	flags.Lookup("url").DefValue = defaultURL // the help shows no settings
	root.AddCommand(
		newSubmit(a), newRun(a), newConversation(a), newStatus(a), newWatch(a), newQuote(a), newJobs(a), newExplain(a), newCancel(a), newReceipt(a),
		newAccount(a), newModels(a), newMiners(a), newKeys(a), newLogin(a), newLogout(a), newProfile(a), newVersion(a),
	)
	return root
}

func firstSet(values ...string) string {
	i := slices.IndexFunc(values, func(s string) bool { return s != "" })
	if i < 0 {
		return ""
	}
	return values[i]
}

// group makes a command that only holds others.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	names := make([]string, len(children))
	for i, child := range children {
		names[i] = child.Name()
	}
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%s what? One of: %s", cmd.CommandPath(), strings.Join(names, ", "))
			}
			return fmt.Errorf("%s does not know %q, only: %s", cmd.CommandPath(), args[0], strings.Join(names, ", "))
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args refuses all
	}
	cmd.AddCommand(children...)
	return cmd
}

type command = func(ctx context.Context, client *aitbc.Client, args []string) error

// action makes what a command does out of a function that is given a client, which signs orders if
// there is a key for that.
func (a *app) action(do command) func(*cobra.Command, []string) error {
	return a.calling(do, func() ([]aitbc.Option, error) {
		options := []aitbc.Option{aitbc.WithAPIKey(a.apiKey)}
		if path := firstSet(a.keyFile, a.getenv("AITBC_KEY_FILE")); path != "" {
			key, err := aitbc.LoadKey(path)
			if err != nil {
				return nil, usageError{fmt.Errorf("--key-file: %w", err)}
			}
			options = append(options, aitbc.WithOrderKey(key))
		}
		return options, nil
	})
}

// keyed is action for commands that submit nothing.
func (a *app) keyed(do command) func(*cobra.Command, []string) error {
	return a.calling(do, func() ([]aitbc.Option, error) { return []aitbc.Option{aitbc.WithAPIKey(a.apiKey)}, nil })
}

// keyless is action for calls that need no API key.
func (a *app) keyless(do command) func(*cobra.Command, []string) error {
	return a.calling(do, func() ([]aitbc.Option, error) { return nil, nil })
}

func (a *app) calling(do command, options func() ([]aitbc.Option, error)) func(*cobra.Command, []string) error {
	return a.local(func(ctx context.Context, args []string) (err error) {
		opts, err := options()
		if err != nil {
			return err
		}
		client, err := aitbc.New(a.url, append(opts, a.userAgent())...)
		if err != nil {
			return usageError{fmt.Errorf("--url: %w", err)}
		}
		defer func() {
			if closeErr := client.Close(); err == nil {
				err = closeErr
			}
		}()
		return do(ctx, client, args)
	})
}

func (a *app) userAgent() aitbc.Option { return aitbc.WithUserAgent("aitbc/" + version()) }

// local makes what a command does out of a function that needs no coordinator.
func (a *app) local(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		ctx := cmd.Context()
		if a.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, a.timeout)
			defer cancel()
		}
		return do(ctx, args)
	}
}

// jobArgument takes one job's id, or its receipt's.
func jobArgument(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s wants one job id, not %d", cmd.CommandPath(), len(args))
	}
	_, err := parseJob(args[0])
	return err
}

func parseJob(text string) (aitbc.JobID, error) {
	if strings.HasPrefix(text, "receipt_") {
		return aitbc.ParseReceiptID(text)
	}
	return aitbc.ParseJobID(text)
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the program's version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a.started = true
			return a.print(map[string]string{"version": version()}, func(p *printer) { p.line("aitbc %s", version()) })
		},
	}
}

// buildVersion is set by the project's own build; a program built by `go install` has its module's.
var buildVersion string

func version() string {
	if buildVersion != "" {
		return buildVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
