package attempt_test

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
	"github.com/aitbc/aitbc/services/miner/internal/coordinatortest"
	"github.com/aitbc/aitbc/services/miner/internal/device"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	modelName = "parrot:latest"
	digest    = "5b1e4d1d0a4c1d9a6d1f3d8f1f4b8a0d6c5f1e2d3c4b5a697887766554433221"
)

// engine answers by a function.
type engine struct {
	answer func(context.Context) (executor.Answer, error)
}

func (e engine) Generate(ctx context.Context, _ executor.Request) (executor.Answer, error) {
	return e.answer(ctx)
}
func (engine) Digest(context.Context, string) (string, error) { return digest, nil }
func (engine) Version(context.Context) (string, error)        { return "1", nil }
func (engine) Models(context.Context) ([]executor.Model, error) {
	return []executor.Model{{Name: modelName, Digest: digest}}, nil
}

// bench is a runner without a session.
type bench struct {
	*attempt.Runner
	operator coordinatortest.Operator
	miner    ed25519.PrivateKey
	spool    *spool.Spool
	proc     string // where it reads its machine; empty at first
}

func newBench(t *testing.T, config attempt.Config, answer func(context.Context) (executor.Answer, error)) *bench {
	t.Helper()
	return newBenchOn(t, config, engine{answer})
}

func newBenchOn(t *testing.T, config attempt.Config, on attempt.Executor, edits ...func(*attempt.Deps)) *bench {
	t.Helper()
	kept, err := spool.Open(t.TempDir(), spool.Limits{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, kept.Close()) })
	metrics, err := attempt.NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	b := &bench{operator: coordinatortest.NewOperator(t), miner: coordinatortest.NewKey(t), spool: kept, proc: t.TempDir()}
	config.RefreshInterval = time.Minute
	if config.Measured == nil {
		config.Slots = 1
	}
	deps := attempt.Deps{
		Key: b.miner, Executor: on, Devices: device.Probe{Proc: b.proc, Tool: "no-such-tool"},
		Spool: kept, Metrics: metrics, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, edit := range edits {
		edit(&deps)
	}
	b.Runner = attempt.New(config, deps)
	return b
}

func (b *bench) op() attempt.Operator {
	key := b.operator.Key.Public().(ed25519.PublicKey)
	return attempt.Operator{ChainID: coordinatortest.ChainID, ID: aitbc.AccountOf(key), Key: key}
}

func (b *bench) lease(t *testing.T) *coordinatorv1.Lease {
	t.Helper()
	return b.operator.Lease(t, coordinatortest.Job{Miner: coordinatortest.Account(b.miner), Model: modelName, Digest: digest})
}

// resign signs a changed lease again, as a faulty or lying operator would.
func (b *bench) resign(t *testing.T, wire *coordinatorv1.Lease, change func(*aitbc.Lease)) {
	t.Helper()
	lease, err := aitbc.ParseLease(wire.GetBody())
	require.NoError(t, err)
	change(&lease)
	wire.Body = lease.SigningBytes()
	wire.Signature = aitbc.Sign(b.operator.Key, wire.Body)
}

// refused gives the one failure there is to tell.
func (b *bench) refused(t *testing.T) *coordinatorv1.AttemptFailure {
	t.Helper()
	report := b.Report()
	require.Empty(t, report.State.GetRunningLeaseIds())
	require.Len(t, report.Failures, 1)
	return report.Failures[0]
}

func TestALeaseWhosePartsDoNotBelongTogetherNeverRuns(t *testing.T) {
	cases := map[string]struct {
		spoil func(*testing.T, *bench, *coordinatorv1.Lease)
		why   string
	}{
		"the body is garbage":     {func(_ *testing.T, _ *bench, l *coordinatorv1.Lease) { l.Body = []byte("x") }, "malformed"},
		"the order is garbage":    {func(_ *testing.T, _ *bench, l *coordinatorv1.Lease) { l.OrderBody = []byte("x") }, "malformed"},
		"the signature is broken": {func(_ *testing.T, _ *bench, l *coordinatorv1.Lease) { l.Signature[0] ^= 1 }, "signature"},
		"another operator signed": {func(t *testing.T, _ *bench, l *coordinatorv1.Lease) {
			l.Signature = aitbc.Sign(coordinatortest.NewKey(t), l.GetBody())
		}, "signature"},
		"it is of another chain": {func(t *testing.T, b *bench, l *coordinatorv1.Lease) {
			b.resign(t, l, func(x *aitbc.Lease) { x.ChainID = "elsewhere" })
		}, "another chain"},
		"it is of another operator": {func(t *testing.T, b *bench, l *coordinatorv1.Lease) {
			b.resign(t, l, func(x *aitbc.Lease) { x.Operator = aitbc.AccountID{1} })
		}, "another operator"},
		"it is for another miner": {func(t *testing.T, b *bench, l *coordinatorv1.Lease) {
			b.resign(t, l, func(x *aitbc.Lease) { x.Miner = aitbc.AccountID{1} })
		}, "it is for"},
		"it is of another order": {func(t *testing.T, b *bench, l *coordinatorv1.Lease) {
			b.resign(t, l, func(x *aitbc.Lease) { x.OrderHash = aitbc.Hash{1} })
		}, "order is another"},
		"another attempt is signed": {func(t *testing.T, b *bench, l *coordinatorv1.Lease) {
			b.resign(t, l, func(x *aitbc.Lease) { x.Attempt = 2 })
		}, "not the signed one"},
		"the model is not the signed one":  {func(_ *testing.T, _ *bench, l *coordinatorv1.Lease) { l.Model = "other:latest" }, "model is not"},
		"the digest is not the signed one": {func(_ *testing.T, _ *bench, l *coordinatorv1.Lease) { l.ModelDigest = strings.Repeat("0", 64) }, "model is not"},
		"the prompt is not the ordered":    {func(_ *testing.T, _ *bench, l *coordinatorv1.Lease) { l.Prompt += "!" }, "not what the client ordered"},
		"the options are not the ordered":  {func(_ *testing.T, _ *bench, l *coordinatorv1.Lease) { l.Options = nil }, "not what the client ordered"},
		"the salt is another":              {func(_ *testing.T, _ *bench, l *coordinatorv1.Lease) { l.Salt[0] ^= 1 }, "not what the client ordered"},
		"the salt is too short":            {func(_ *testing.T, _ *bench, l *coordinatorv1.Lease) { l.Salt = l.Salt[1:] }, "31 bytes"},
		"the type is unknown":              {func(_ *testing.T, _ *bench, l *coordinatorv1.Lease) { l.Type = "training" }, "unknown"},
		"there is no execution limit":      {func(_ *testing.T, _ *bench, l *coordinatorv1.Lease) { l.ExecutionLimit = nil }, "execution limit"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, attempt.Config{}, nil)
			lease := b.lease(t)
			c.spoil(t, b, lease)
			b.Offer(b.op(), lease)
			failure := b.refused(t)
			require.Equal(t, "REQUEST_REJECTED", failure.GetReason())
			require.Contains(t, failure.GetMessage(), c.why)
		})
	}
}

func TestAnOrderMayNameTheModelWithOrWithoutItsTagAndDigest(t *testing.T) {
	for name, payload := range map[string]aitbc.Payload{
		"tag and no digest": {Model: modelName},
		"neither":           {Model: "parrot"},
		"both":              {Model: modelName, ModelDigest: parse(t, digest)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, attempt.Config{}, nil)
			lease := b.lease(t)
			order, err := aitbc.ParseOrder(lease.GetOrderBody())
			require.NoError(t, err)
			payload.Type, payload.Prompt = "inference", lease.GetPrompt()
			payload.Options = aitbc.Options{Temperature: lease.Options.Temperature, Seed: lease.Options.Seed}
			hash, err := payload.Hash()
			require.NoError(t, err)
			order.PayloadCommitment = aitbc.Commitment(aitbc.Salt(lease.GetSalt()), hash)
			lease.OrderBody = order.SigningBytes()
			b.resign(t, lease, func(x *aitbc.Lease) { x.OrderHash = order.Hash() })
			b.Offer(b.op(), lease)
			require.Empty(t, b.Report().Failures)
			require.Equal(t, []string{lease.GetLeaseId()}, b.Report().State.GetRunningLeaseIds())
		})
	}
}

func TestTheOwnersWishesAreKept(t *testing.T) {
	t.Run("a price below the floor", func(t *testing.T) {
		b := newBench(t, attempt.Config{PriceFloor: 20_001}, nil)
		b.Offer(b.op(), b.lease(t))
		require.Equal(t, "ENGINE_OVERLOADED", b.refused(t).GetReason(), "another miner may take it")
	})
	t.Run("a model that is not offered", func(t *testing.T) {
		b := newBench(t, attempt.Config{Models: []string{"other"}}, nil)
		b.Offer(b.op(), b.lease(t))
		require.Equal(t, "MODEL_NOT_FOUND", b.refused(t).GetReason())
	})
	t.Run("a model that is", func(t *testing.T) {
		b := newBench(t, attempt.Config{Models: []string{"parrot"}}, nil)
		b.Offer(b.op(), b.lease(t))
		require.Empty(t, b.Report().Failures)
	})
}

func TestARevocationThatComesWithTheAnswerIsObeyed(t *testing.T) {
	var b *bench
	var lease *coordinatorv1.Lease
	b = newBench(t, attempt.Config{}, func(context.Context) (executor.Answer, error) {
		if err := b.Revoke(b.op(), lease.GetLeaseId(), false); err != nil {
			return executor.Answer{}, err
		}
		return executor.Answer{Text: []byte("done"), OutputTokens: 1, Complete: true}, nil
	})
	lease = b.lease(t)
	b.runUntil(t, lease, func(r attempt.Report) bool { return len(r.State.GetRunningLeaseIds()) == 0 })
	require.Equal(t, spool.None, b.spool.State(lease.GetLeaseId()))
	require.Empty(t, b.Report().Failures)
	require.Empty(t, b.Report().Results)
}

func TestAFailureIsToldOnceAndAgainWhenAsked(t *testing.T) {
	long := strings.Repeat("ü", 1000)
	b := newBench(t, attempt.Config{}, func(context.Context) (executor.Answer, error) {
		return executor.Answer{}, &executor.Failure{Reason: executor.Incomplete, Message: long}
	})
	lease := b.lease(t)
	b.runUntil(t, lease, func(r attempt.Report) bool { return len(r.Failures) == 1 })
	failure := b.refused(t)
	require.Equal(t, "ENGINE_INCOMPLETE", failure.GetReason())
	require.LessOrEqual(t, len(failure.GetMessage()), 1000)
	_, err := proto.Marshal(failure)
	require.NoError(t, err, "cut in the middle of a character it would not be a proto string")
	b.FailureTold(b.op(), lease.GetLeaseId())
	require.Empty(t, b.Report().Failures)
	b.Offer(b.op(), lease)
	require.Equal(t, lease.GetLeaseId(), b.refused(t).GetLeaseId())
}

// runUntil offers the lease to a running runner and stops it when its report is as wanted.
func (b *bench) runUntil(t *testing.T, lease *coordinatorv1.Lease, wanted func(attempt.Report) bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	b.Offer(b.op(), lease)
	late := time.After(time.Minute)
	for {
		changed := b.Watch()
		if wanted(b.Report()) {
			break
		}
		select {
		case <-changed:
		case <-late:
			require.Fail(t, "the report never is as wanted")
		}
	}
	cancel()
	require.NoError(t, <-ended)
}

func parse(t *testing.T, text string) aitbc.Hash {
	t.Helper()
	raw, err := hex.DecodeString(text)
	require.NoError(t, err)
	return aitbc.Hash(raw)
}
