package attempt_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
	"github.com/aitbc/aitbc/services/miner/internal/coordinatortest"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

const bigName = "whale:latest"

// zoo is an engine with two models that never ends an answer.
type zoo struct{ engine }

func (zoo) Models(context.Context) ([]executor.Model, error) {
	return []executor.Model{{Name: modelName, Digest: digest}, {Name: bigName, Digest: digest}}, nil
}

func (zoo) Generate(ctx context.Context, _ executor.Request) (executor.Answer, error) {
	<-ctx.Done()
	return executor.Answer{}, context.Cause(ctx)
}

func TestEachModelHasTheSlotsThatWereMeasuredOfIt(t *testing.T) {
	t.Parallel()
	measured := map[string]int{modelName: 3, bigName: 1}
	b := newBenchOn(t, attempt.Config{Measured: func(string, []executor.Model) map[string]int { return measured }}, zoo{})
	b.run(t)
	require.Eventually(t, func() bool { return len(b.Report().State.GetModels()) == 2 }, time.Minute, time.Millisecond)
	state := b.Report().State
	require.EqualValues(t, 3, state.GetSlots())
	own := map[string]int32{}
	for _, m := range state.GetModels() {
		own[m.GetName()] = m.GetSlots()
	}
	require.Equal(t, map[string]int32{modelName: 0, bigName: 1}, own, "0: as many as the miner's")

	offer := func(model string) *coordinatorv1.Lease {
		lease := b.operator.Lease(t, coordinatortest.Job{Miner: coordinatortest.Account(b.miner), Model: model, Digest: digest})
		b.Offer(b.op(), lease)
		return lease
	}
	offer(bigName)
	require.Empty(t, b.Report().Failures)
	refused := offer(bigName)
	require.Equal(t, refused.GetLeaseId(), b.Report().Failures[0].GetLeaseId())
	require.Equal(t, "ENGINE_OVERLOADED", b.Report().Failures[0].GetReason())
	require.Contains(t, b.Report().Failures[0].GetMessage(), "all 1 slots of "+bigName+" are taken")
	offer(modelName)
	offer(modelName)
	require.Len(t, b.Report().State.GetRunningLeaseIds(), 3)
	require.Len(t, b.Report().Failures, 1)
	offer(modelName)
	require.Len(t, b.Report().Failures, 2)
}
