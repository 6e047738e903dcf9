package attempt_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
	"github.com/aitbc/aitbc/services/miner/internal/pull"
)

// pulls plays a puller.
type pulls struct {
	states []pull.State
	wanted []string
}

func (p *pulls) States() []pull.State { return p.states }
func (p *pulls) Want(names []string)  { p.wanted = names }

func TestWhatTheOwnerAllowsToPullIsToldAndNothingElseIsPulled(t *testing.T) {
	t.Parallel()
	p := &pulls{}
	b := newBenchOn(t, attempt.Config{Pullable: []string{"allowed", modelName}}, engine{}, func(d *attempt.Deps) { d.Pulls = p })
	require.Empty(t, b.Report().State.GetPullableModels(), "nobody has looked at the engine yet")
	b.run(t)
	require.Eventually(t, func() bool { return len(b.Report().State.GetPullableModels()) > 0 }, time.Minute, time.Millisecond)
	require.Equal(t, []string{"allowed:latest"}, b.Report().State.GetPullableModels(), "the engine has the other")

	b.Pull(b.op(), []string{"allowed", "forbidden"})
	require.Equal(t, []string{"allowed:latest"}, p.wanted)
	b.Pull(b.op(), nil)
	require.Empty(t, p.wanted)

	p.states = []pull.State{
		{Name: "own:latest", Err: errors.New("away")},
		{Name: "allowed:latest", Requested: true, DoneBytes: 3, TotalBytes: 9, Err: errors.New(strings.Repeat("ü", 600) + "\n")},
	}
	told := b.Report().State.GetPulls()
	require.Len(t, told, 1, "the owner's own are the owner's business")
	require.Equal(t, []any{"allowed:latest", int64(3), int64(9)}, []any{told[0].GetModel(), told[0].GetCompletedBytes(), told[0].GetTotalBytes()})
	require.Equal(t, strings.Repeat("ü", 500), told[0].GetError())
	require.NotEmpty(t, b.Report().State.GetPullableModels())
	p.states[0].Active = true
	require.Empty(t, b.Report().State.GetPullableModels(), "the line is taken")
	p.states = nil
	b.Drain()
	require.Equal(t, []*coordinatorv1.ModelPull(nil), b.Report().State.GetPulls())
	require.Empty(t, b.Report().State.GetPullableModels())
}

func TestAModelThatTheReserveLeavesNoRoomForIsNotPulled(t *testing.T) {
	t.Parallel()
	require.NoError(t, newBench(t, attempt.Config{}, nil).Fits("m", 1<<50))
	require.ErrorContains(t, newBench(t, attempt.Config{MemoryReserve: 1}, nil).Fits("m", 1), "unknown")
}
