package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/aitbctest"
	"github.com/aitbc/aitbc/clients/go/verify/verifytest"
)

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"aitbc": main})
}

// leakChecked fails the tests when goroutines are left.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// answers gives a server that does what the model's name says.
func answers() func(context.Context, aitbc.SubmitRequest) (aitbctest.Answer, error) {
	var busy atomic.Bool
	return func(ctx context.Context, req aitbc.SubmitRequest) (aitbctest.Answer, error) {
		var none aitbctest.Answer
		switch req.Model {
		case "echo":
			o := req.Options
			text := fmt.Sprintf("prompt %q max %s pinned %t timeouts %s stop %q", req.Prompt, req.MaxPrice, !req.ModelDigest.IsZero(), req.Timeouts, o.Stop)
			if o.Temperature != nil && o.Seed != nil {
				text += fmt.Sprintf(" temperature %g seed %d", *o.Temperature, *o.Seed)
			}
			return aitbctest.Answer{Text: text, ComputeTime: time.Second, TotalTime: 1250 * time.Millisecond}, nil
		case "talk":
			messages := req.Chat.Messages
			answer := fmt.Sprintf("%d: %s", len(messages), messages[len(messages)-1].Content)
			return aitbctest.Answer{Text: fmt.Sprintf(`{"role":"assistant","content":%q}`, answer), ComputeTime: time.Second}, nil
		case "control":
			return aitbctest.Answer{Text: "a\x1b[2Jb\tc"}, nil
		case "missing":
			return none, &aitbc.Error{Reason: aitbc.ReasonModelNotFound, Message: "miners are connected, and none has \"missing\""}
		case "broken":
			return none, &aitbc.JobError{Reason: "ENGINE_ERROR", Message: "the engine answered with an error"}
		case "nobody":
			return none, &aitbc.JobError{Reason: aitbc.ReasonQueueTimeout, Message: "no miner took it within 60 s"}
		case "busy-once":
			if busy.CompareAndSwap(false, true) {
				return none, &aitbc.Error{Reason: aitbc.ReasonRateLimited, Message: "too many requests", RetryAfter: time.Second}
			}
		case "busy":
			return none, &aitbc.Error{Reason: aitbc.ReasonRateLimited, Message: "too many requests", RetryAfter: time.Hour}
		case "faulty":
			return none, &aitbc.Error{Reason: aitbc.ReasonInternal, Message: "internal error", Metadata: map[string]string{"request_id": "req-7"}}
		}
		return aitbctest.SeedAnswer(ctx, req)
	}
}

func TestScripts(t *testing.T) {
	t.Parallel()
	wrapper, err := filepath.Abs("aitbc-cli.sh")
	require.NoError(t, err)
	tools := toolFolder(t, "bash", "dirname", "readlink")
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			server, err := aitbctest.Start(aitbctest.Config{Answer: answers()})
			if err != nil {
				return err
			}
			env.Defer(func() {
				if err := server.Close(); err != nil {
					env.T().Fatal(err)
				}
			})
			if err := startLedger(env, server); err != nil {
				return err
			}
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("AITBC_URL", server.URL())
			env.Setenv("GRPC", server.Target())
			env.Setenv("CLIENT_KEY", aitbctest.APIKey)
			env.Setenv("WRAPPER", wrapper)
			env.Setenv("TOOLS", tools)
			// Under the race detector a program stays a second after its end; there are a hundred here.
			env.Setenv("GORACE", "atexit_sleep_ms=20")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "jobid": jobID, "firstkey": firstKey, "mine": mine},
	})
}

// toolFolder makes a folder for PATH that holds these programs and no others.
func toolFolder(t *testing.T, programs ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, program := range programs {
		path, err := exec.LookPath(program)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(folder, program)))
	}
	return folder
}

// exits runs a command and checks its exit code: exits CODE PROGRAM ARGS...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	code := 0
	var ended *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &ended) {
		code = ended.ExitCode()
	} else if err != nil {
		ts.Fatalf("run %s: %v", args[1], err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// jobID keeps the job id that the last command printed in $JOB.
func jobID(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile("stdout")
	var id string
	if _, err := fmt.Sscanf(text, "Job ID: %s", &id); err != nil || neg || len(args) != 0 {
		ts.Fatalf("no job id in %q", text)
	}
	ts.Setenv("JOB", id)
}

// firstKey keeps the id of the first key that the last command printed, a line each, in $KEY.
func firstKey(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile("stdout")
	var id string
	if _, err := fmt.Sscanf(text, `{"key_id":%q`, &id); err != nil || neg || len(args) != 0 {
		ts.Fatalf("no key id in %q", text)
	}
	ts.Setenv("KEY", id)
}

// startLedger starts a ledger that holds the receipts of the server's jobs, at $AITBC_LEDGER.
func startLedger(env *testscript.Env, server *aitbctest.Server) error {
	client, err := aitbc.New(server.Target(), aitbc.WithAPIKey(aitbctest.APIKey))
	if err != nil {
		return err
	}
	account, err := client.Account(context.Background())
	if err != nil {
		return errors.Join(err, client.Close())
	}
	chain := verifytest.NewChain(account.ChainID, 4, func(ctx context.Context, job aitbc.JobID) (*aitbc.Receipt, error) {
		receipt, err := client.Receipt(ctx, job)
		if refused := new(aitbc.Error); errors.As(err, &refused) && refused.Reason == aitbc.ReasonReceiptNotFound {
			return nil, nil
		}
		return receipt, err
	})
	address, stop, err := chain.Serve(context.Background())
	if err != nil {
		return errors.Join(err, client.Close())
	}
	env.Defer(func() {
		if err := errors.Join(stop(), client.Close()); err != nil {
			env.T().Fatal(err)
		}
	})
	env.Setenv("AITBC_LEDGER", address)
	env.Values[ledgerKey{}] = chain
	return nil
}

type ledgerKey struct{}

// mine makes the ledger go on by a block and keeps the hash of the last one in a variable:
// mine VARIABLE
func mine(ts *testscript.TestScript, neg bool, args []string) {
	chain, ok := ts.Value(ledgerKey{}).(*verifytest.Chain)
	if neg || len(args) != 1 || !ok {
		ts.Fatalf("usage: mine VARIABLE")
	}
	chain.Mine()
	ts.Setenv(args[0], chain.BlockHash().String())
}
