package session_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/coordinatortest"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
	"github.com/aitbc/aitbc/tools/tinymodel/model"
)

func TestALeaseIsRunOnTheRealEngineSignedAndAccepted(t *testing.T) {
	s := onEngine(t)
	m := s.start(t)
	talk := s.coordinator.Session(t)
	lease := s.lease(t, s.digest(t, talk), coordinatortest.Job{Prompt: model.Question})
	talk.Offer(t, lease)

	require.Equal(t, lease.GetLeaseId(), talk.Start(t).GetLeaseId())
	result := talk.Result(t)
	require.Equal(t, model.Answer, result.GetResult())
	statement := coordinatortest.RequireStatement(t, s.key, lease, result)
	require.Equal(t, uint32(model.AnswerTokens), statement.OutputTokens)
	require.Equal(t, uint32(model.QuestionTokens), statement.PromptTokens)
	require.Regexp(t, `^ollama/\d`, statement.Engine)
	require.False(t, statement.Stopped)
	require.Positive(t, statement.ComputeUS)
	require.InDelta(t, float64(statement.ComputeUS)/1e6, result.GetMetrics().GetComputeTime(), 1e-6)
	require.Nil(t, result.GetMetrics().GpuUtilization, "there is no GPU, so there is no use of it")
	talk.State(t, "the result waiting", func(state *coordinatorv1.MinerState) bool {
		return len(state.GetFinishedLeaseIds()) == 1 && state.GetFinishedLeaseIds()[0] == lease.GetLeaseId()
	})

	talk.Accept(t, lease.GetLeaseId(), s.operator.Acceptance(t, result))
	talk.State(t, "nothing waiting", idle)
	require.Equal(t, spool.Accepted, m.spool.State(lease.GetLeaseId()))
}

func TestAResultIsSentAgainUntilItIsAcceptedAndNeverMadeTwice(t *testing.T) {
	s := onEngine(t)
	m := s.start(t)
	talk := s.coordinator.Session(t)
	lease := s.lease(t, s.digest(t, talk), coordinatortest.Job{})
	talk.Offer(t, lease)
	first := talk.Result(t)
	again := func(talk *coordinatortest.Session) {
		t.Helper()
		result := talk.Result(t)
		require.Equal(t, first.GetStatementBody(), result.GetStatementBody())
		require.Equal(t, first.GetResult(), result.GetResult())
	}

	talk.Offer(t, lease) // as if the result had been lost on the way
	again(talk)

	talk.Drop()
	talk = s.coordinator.Session(t)
	state := talk.State(t, "anything", func(*coordinatorv1.MinerState) bool { return true })
	require.Equal(t, []string{lease.GetLeaseId()}, state.GetFinishedLeaseIds(), "the first state already lists it")
	again(talk)
	require.EqualValues(t, 1, m.runner.Status().Completed)

	m.stop()
	talk = func() *coordinatortest.Session { s.start(t); return s.coordinator.Session(t) }()
	state = talk.State(t, "anything", func(*coordinatorv1.MinerState) bool { return true })
	require.Equal(t, []string{lease.GetLeaseId()}, state.GetFinishedLeaseIds(), "after a restart too")
	again(talk)
	talk.Accept(t, lease.GetLeaseId(), s.operator.Acceptance(t, first))
	talk.State(t, "nothing waiting", idle)
	talk.Offer(t, lease)
	require.Equal(t, "CANCELLED", talk.Failure(t).GetReason(), "accepted before, so never run again")
}

func TestAnAcceptanceThatDoesNotCheckChangesNothing(t *testing.T) {
	s := onEngine(t)
	m := s.start(t)
	talk := s.coordinator.Session(t)
	digest := s.digest(t, talk)
	lease := s.lease(t, digest, coordinatortest.Job{})
	talk.Offer(t, lease)
	result := talk.Result(t)

	forged := coordinatortest.NewOperator(t).Acceptance(t, result)
	talk.Accept(t, lease.GetLeaseId(), forged)
	talk.Offer(t, lease)
	talk.Result(t) // it still waits
	require.Equal(t, spool.Waiting, m.spool.State(lease.GetLeaseId()))
}

func TestAFullMinerRefusesInsteadOfQueueing(t *testing.T) {
	s := onFake(t)
	s.start(t)
	talk := s.coordinator.Session(t)
	digest := s.digest(t, talk)
	running := s.lease(t, digest, coordinatortest.Job{Prompt: "hang"})
	talk.Offer(t, running)
	talk.Start(t)
	talk.Offer(t, running) // a repetition is not a second one
	excess := s.lease(t, digest, coordinatortest.Job{})
	talk.Offer(t, excess)
	failure := talk.Failure(t)
	require.Equal(t, excess.GetLeaseId(), failure.GetLeaseId())
	require.Equal(t, "ENGINE_OVERLOADED", failure.GetReason())
}

func TestARunningLeaseSurvivesALostSession(t *testing.T) {
	s := onFake(t)
	m := s.start(t)
	talk := s.coordinator.Session(t)
	lease := s.lease(t, s.digest(t, talk), coordinatortest.Job{Prompt: "pause"})
	talk.Offer(t, lease)
	s.awaitSaid(t)
	talk.Drop()
	talk = s.coordinator.Session(t)
	talk.State(t, "the lease running", func(state *coordinatorv1.MinerState) bool {
		return len(state.GetRunningLeaseIds()) == 1 && state.GetRunningLeaseIds()[0] == lease.GetLeaseId()
	})
	talk.Offer(t, lease)
	talk.Revoke(t, lease.GetLeaseId(), true)
	require.Equal(t, "one two", talk.Result(t).GetResult())
	require.EqualValues(t, 1, m.runner.Status().Completed)
}

func TestRevokedWithSettlementSignsWhatWasDone(t *testing.T) {
	s := onFake(t)
	s.start(t)
	talk := s.coordinator.Session(t)
	lease := s.lease(t, s.digest(t, talk), coordinatortest.Job{Prompt: "pause"})
	talk.Offer(t, lease)
	s.awaitSaid(t)
	talk.Revoke(t, lease.GetLeaseId(), true)
	result := talk.Result(t)
	statement := coordinatortest.RequireStatement(t, s.key, lease, result)
	require.True(t, statement.Stopped)
	require.Equal(t, "one two", result.GetResult())
	require.EqualValues(t, 2, statement.OutputTokens)
	require.Less(t, statement.ComputeUS, time.Minute.Microseconds())

	talk.Revoke(t, lease.GetLeaseId(), true) // repeated: the same statement, not another
	require.Equal(t, result.GetStatementBody(), talk.Result(t).GetStatementBody())
}

func TestRevokedWithSettlementBeforeAnythingWasSaidFails(t *testing.T) {
	s := onFake(t)
	s.start(t)
	talk := s.coordinator.Session(t)
	lease := s.lease(t, s.digest(t, talk), coordinatortest.Job{Prompt: "mute"})
	talk.Offer(t, lease)
	talk.Start(t)
	talk.Revoke(t, lease.GetLeaseId(), true)
	require.Equal(t, "CANCELLED", talk.Failure(t).GetReason())

	unknown := s.lease(t, lease.GetModelDigest(), coordinatortest.Job{})
	talk.Revoke(t, unknown.GetLeaseId(), true)
	failure := talk.Failure(t)
	require.Equal(t, unknown.GetLeaseId(), failure.GetLeaseId())
	require.Equal(t, "CANCELLED", failure.GetReason())
}

func TestRevokedWithoutSettlementSaysNothing(t *testing.T) {
	s := onFake(t)
	m := s.start(t)
	talk := s.coordinator.Session(t)
	digest := s.digest(t, talk)

	t.Run("while it runs", func(t *testing.T) {
		lease := s.lease(t, digest, coordinatortest.Job{Prompt: "hang"})
		talk.Offer(t, lease)
		talk.Start(t)
		talk.Revoke(t, lease.GetLeaseId(), false)
		talk.Await(t, "an idle state", func(f *coordinatorv1.ConnectRequest) bool {
			require.Nil(t, f.GetAttemptResult())
			require.Nil(t, f.GetAttemptFailure())
			return f.GetState() != nil && idle(f.GetState())
		})
		require.Equal(t, spool.None, m.spool.State(lease.GetLeaseId()), "nothing was signed")
		talk.Offer(t, lease)
		require.Equal(t, "CANCELLED", talk.Failure(t).GetReason(), "it is not run again")
	})
	t.Run("while its result waits", func(t *testing.T) {
		lease := s.lease(t, digest, coordinatortest.Job{})
		talk.Offer(t, lease)
		talk.Result(t)
		talk.Revoke(t, lease.GetLeaseId(), false)
		talk.State(t, "nothing waiting", idle)
		require.Equal(t, spool.Evidence, m.spool.State(lease.GetLeaseId()))
	})
}

func TestTheExecutionLimit(t *testing.T) {
	s := onFake(t)
	s.start(t)
	talk := s.coordinator.Session(t)
	digest := s.digest(t, talk)
	t.Run("of the coordinator's making is a failure", func(t *testing.T) {
		talk.Offer(t, s.lease(t, digest, coordinatortest.Job{Prompt: "hang", Limit: 500 * time.Millisecond}))
		require.Equal(t, "EXECUTION_LIMIT", talk.Failure(t).GetReason())
	})
	t.Run("of the client's own is paid for until then", func(t *testing.T) {
		lease := s.lease(t, digest, coordinatortest.Job{Prompt: "hang", Limit: 2 * time.Second, SettleAtLimit: true})
		talk.Offer(t, lease)
		statement := coordinatortest.RequireStatement(t, s.key, lease, talk.Result(t))
		require.True(t, statement.Stopped)
	})
}

func TestAModelOfAnotherDigestIsNotTheModel(t *testing.T) {
	s := onEngine(t)
	s.start(t)
	talk := s.coordinator.Session(t)
	other := aitbc.ResultHash([]byte("another model"))
	lease := s.lease(t, hexOf(other), coordinatortest.Job{})
	talk.Offer(t, lease)
	require.Equal(t, "MODEL_NOT_FOUND", talk.Failure(t).GetReason())
}

func TestADrainingMinerFinishesAndTakesNothing(t *testing.T) {
	s := onFake(t)
	s.work.Slots = 2
	m := s.start(t)
	talk := s.coordinator.Session(t)
	digest := s.digest(t, talk)
	running := s.lease(t, digest, coordinatortest.Job{Prompt: "pause"})
	talk.Offer(t, running)
	s.awaitSaid(t)
	m.runner.Drain()
	talk.State(t, "draining", func(state *coordinatorv1.MinerState) bool { return state.GetDraining() })
	talk.Offer(t, s.lease(t, digest, coordinatortest.Job{}))
	require.Equal(t, "ENGINE_OVERLOADED", talk.Failure(t).GetReason())
	talk.Revoke(t, running.GetLeaseId(), true)
	require.Equal(t, running.GetLeaseId(), talk.Result(t).GetLeaseId(), "what ran may end")
}

func TestALeavingMinerSaysWhatItLeavesBehind(t *testing.T) {
	s := onFake(t)
	m := s.start(t)
	talk := s.coordinator.Session(t)
	lease := s.lease(t, s.digest(t, talk), coordinatortest.Job{Prompt: "hang"})
	talk.Offer(t, lease)
	talk.Start(t)
	m.runner.Abort()
	require.Equal(t, "MINER_LOST", talk.Failure(t).GetReason())
}
