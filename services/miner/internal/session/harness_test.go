package session_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
	"github.com/aitbc/aitbc/services/miner/internal/coordinatortest"
	"github.com/aitbc/aitbc/services/miner/internal/device"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
	"github.com/aitbc/aitbc/services/miner/internal/executor/ollamafake"
	"github.com/aitbc/aitbc/services/miner/internal/session"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
	"github.com/aitbc/aitbc/tools/engine"
	"github.com/aitbc/aitbc/tools/engine/enginetest"
)

func TestMain(m *testing.M) {
	code := enginetest.Run(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// setup is everything but the running parts: what survives a restart.
type setup struct {
	operator    coordinatortest.Operator
	coordinator *coordinatortest.Server
	key         ed25519.PrivateKey
	dir         string
	engine      *url.URL
	model       string
	work        attempt.Config
	session     session.Config
	said        chan struct{} // gets one when the prompt "pause" has said something
}

// pausing is an executor that pauses in the middle of its answer to the prompt "pause" until it is
// stopped. When a miner has read what a server said can't be seen from outside.
type pausing struct {
	attempt.Executor
	said chan<- struct{}
}

func (p pausing) Generate(ctx context.Context, request executor.Request) (executor.Answer, error) {
	if request.Prompt != "pause" {
		return p.Executor.Generate(ctx, request)
	}
	p.said <- struct{}{}
	<-ctx.Done()
	answer := executor.Answer{Text: []byte("one two"), OutputTokens: 2, Compute: time.Millisecond}
	return answer, fmt.Errorf("generate: %w", context.Cause(ctx))
}

func prepare(t *testing.T, base string, model string) *setup {
	t.Helper()
	engine, err := url.Parse(base)
	require.NoError(t, err)
	s := &setup{
		operator: coordinatortest.NewOperator(t), key: coordinatortest.NewKey(t), dir: t.TempDir(),
		engine: engine, model: executor.FullName(model),
		said: make(chan struct{}, 10),
		work: attempt.Config{Slots: 1, RefreshInterval: time.Second},
	}
	s.coordinator = coordinatortest.Start(t, s.operator, nil)
	s.session = session.Config{
		Addresses: []string{"localhost:1"}, Key: s.key, Software: "test", Dial: s.coordinator.Dial,
		Backoff: session.Backoff{Min: time.Millisecond, Max: 100 * time.Millisecond}, HandshakeTimeout: 10 * time.Second,
	}
	return s
}

// onEngine prepares a miner with the real engine.
func onEngine(t *testing.T) *setup {
	t.Helper()
	return prepare(t, enginetest.Start(t).URL(), engine.Tiny().Name)
}

// onFake prepares a miner with the fake, which never ends its answer to "hang" and never begins
// that to "mute".
func onFake(t *testing.T) *setup {
	t.Helper()
	fake := ollamafake.Start(t)
	fake.OnPrompt("hang", ollamafake.Hang("one ", "two"))
	fake.OnPrompt("mute", ollamafake.Hang())
	return prepare(t, fake.URL().String(), ollamafake.Model)
}

// miner is a running miner.
type miner struct {
	runner  *attempt.Runner
	session *session.Session
	spool   *spool.Spool
	stop    func()
}

// start starts a miner, which ends with the test if it is not stopped before.
func (s *setup) start(t *testing.T) *miner {
	t.Helper()
	kept, err := spool.Open(s.dir, spool.Limits{Accepted: 10, Evidence: 10})
	require.NoError(t, err)
	metrics, err := attempt.NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	ollama := executor.New(s.engine)
	probe := device.New()
	probe.Tool = "no-such-tool"
	runner := attempt.New(s.work, attempt.Deps{
		Key: s.key, Executor: pausing{ollama, s.said}, Devices: probe, Spool: kept, Metrics: metrics, Log: quiet(t),
	})
	sess, err := session.New(s.session, runner, quiet(t))
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	parts.Go(func() { require.NoError(t, runner.Run(ctx)) })
	parts.Go(func() { require.NoError(t, sess.Run(ctx)) })
	var once sync.Once
	m := &miner{runner: runner, session: sess, spool: kept}
	m.stop = func() {
		once.Do(func() {
			cancel()
			parts.Wait()
			ollama.Close()
			require.NoError(t, kept.Close())
		})
	}
	t.Cleanup(m.stop)
	return m
}

// digest gives the model's digest as the miner reports it.
func (s *setup) digest(t *testing.T, talk *coordinatortest.Session) string {
	t.Helper()
	var digest string
	talk.State(t, "the model", func(state *coordinatorv1.MinerState) bool {
		for _, m := range state.GetModels() {
			if m.GetName() == s.model {
				digest = m.GetDigest()
			}
		}
		return digest != ""
	})
	return digest
}

// lease makes a lease for this miner.
func (s *setup) lease(t *testing.T, digest string, j coordinatortest.Job) *coordinatorv1.Lease {
	t.Helper()
	j.Miner, j.Model, j.Digest = s.self(), s.model, digest
	return s.operator.Lease(t, j)
}

func (s *setup) self() aitbc.AccountID { return coordinatortest.Account(s.key) }

// idle is a state in which nothing runs or waits.
func idle(state *coordinatorv1.MinerState) bool {
	return len(state.GetRunningLeaseIds()) == 0 && len(state.GetFinishedLeaseIds()) == 0
}

// quiet logs to the test, which shows it on failure only.
func quiet(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

type dialer = func(ctx context.Context, address string) (net.Conn, error)

func dialEach(dialers map[string]dialer) dialer {
	return func(ctx context.Context, address string) (net.Conn, error) { return dialers[address](ctx, address) }
}

// awaitSaid waits until the prompt "pause" has said something: a stop then finds something done.
func (s *setup) awaitSaid(t *testing.T) {
	t.Helper()
	select {
	case <-s.said:
	case <-time.After(time.Minute):
		require.Fail(t, "the engine said nothing")
	}
}
