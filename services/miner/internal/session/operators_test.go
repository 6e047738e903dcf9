package session_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/coordinatortest"
)

// A result belongs to the operator whose lease it answers: another operator must not read it, not
// even after a restart of the miner.
func TestAResultGoesToItsOwnOperatorOnly(t *testing.T) {
	s := onFake(t)
	other := coordinatortest.Start(t, coordinatortest.NewOperator(t), nil)
	s.session.Addresses = []string{"localhost:1", "localhost:2"}
	s.session.Dial = dialEach(map[string]dialer{"localhost:1": s.coordinator.Dial, "localhost:2": other.Dial})
	m := s.start(t)
	talk := s.coordinator.Session(t)
	lease := s.lease(t, s.digest(t, talk), coordinatortest.Job{})
	talk.Offer(t, lease)
	result := talk.Result(t)
	require.Equal(t, lease.GetLeaseId(), result.GetLeaseId())
	m.stop() // it is not accepted yet

	s.session.Addresses = []string{"localhost:2", "localhost:1"}
	s.start(t)
	stranger := other.Session(t)
	states := 0
	stranger.Await(t, "the third state", func(frame *coordinatorv1.ConnectRequest) bool {
		state := frame.GetState()
		require.NotNil(t, state, "%v", frame)
		require.True(t, idle(state), "%v", state)
		states++
		return states == 3
	})
	stranger.Revoke(t, lease.GetLeaseId(), false)
	stranger.Drop()
	require.Equal(t, result.GetResult(), s.coordinator.Session(t).Result(t).GetResult(), "it waits for its own operator")
}
