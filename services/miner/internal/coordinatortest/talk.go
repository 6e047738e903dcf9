package coordinatortest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Session waits for the next session.
func (s *Server) Session(t testing.TB) *Session {
	t.Helper()
	select {
	case session := <-s.sessions:
		return session
	case <-time.After(patience):
		require.Fail(t, "no session")
		return nil
	}
}

// Drop ends the session from the coordinator's side.
func (s *Session) Drop() {
	close(s.drop)
	<-s.ended
}

// Ended is closed when the session has ended.
func (s *Session) Ended() <-chan struct{} { return s.ended }

// Offer sends a lease.
func (s *Session) Offer(t testing.TB, lease *coordinatorv1.Lease) {
	t.Helper()
	s.send(t, &coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_Lease{Lease: lease}})
}

// Revoke sends a revocation.
func (s *Session) Revoke(t testing.TB, leaseID string, settle bool) {
	t.Helper()
	revocation := &coordinatorv1.LeaseRevocation{LeaseId: leaseID, Reason: "CANCELLED", Settle: settle}
	s.send(t, &coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_LeaseRevocation{LeaseRevocation: revocation}})
}

// Accept sends an acceptance.
func (s *Session) Accept(t testing.TB, leaseID string, acceptance *coordinatorv1.Acceptance) {
	t.Helper()
	accepted := &coordinatorv1.ResultAcceptance{LeaseId: leaseID, Acceptance: acceptance}
	s.send(t, &coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_ResultAcceptance{ResultAcceptance: accepted}})
}

// Answer answers a claim.
func (s *Session) Answer(t testing.TB, answer *coordinatorv1.JobClaimAnswer) {
	t.Helper()
	s.send(t, &coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_JobClaimAnswer{JobClaimAnswer: answer}})
}

func (s *Session) send(t testing.TB, order *coordinatorv1.ConnectResponse) {
	t.Helper()
	select {
	case s.orders <- order:
	case <-s.ended:
		require.Fail(t, "the session has ended")
	case <-time.After(patience):
		require.Fail(t, "the session takes no order")
	}
}

// Await reads frames until one is wanted.
func (s *Session) Await(t testing.TB, what string, wanted func(*coordinatorv1.ConnectRequest) bool) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case frame, ok := <-s.frames:
			require.True(t, ok, "the session ended before %s", what)
			if wanted(frame) {
				return
			}
		case <-late:
			require.Fail(t, "waited too long for "+what)
		}
	}
}

// State waits for a state that fits.
func (s *Session) State(t testing.TB, what string, fits func(*coordinatorv1.MinerState) bool) *coordinatorv1.MinerState {
	t.Helper()
	var state *coordinatorv1.MinerState
	s.Await(t, "a state with "+what, func(f *coordinatorv1.ConnectRequest) bool {
		state = f.GetState()
		return state != nil && fits(state)
	})
	return state
}

// Start waits for an attempt's start.
func (s *Session) Start(t testing.TB) *coordinatorv1.AttemptStart {
	t.Helper()
	var start *coordinatorv1.AttemptStart
	s.Await(t, "a start", func(f *coordinatorv1.ConnectRequest) bool {
		start = f.GetAttemptStart()
		return start != nil
	})
	return start
}

// Result waits for a result; a failure meanwhile fails the test.
func (s *Session) Result(t testing.TB) *coordinatorv1.AttemptResult {
	t.Helper()
	var result *coordinatorv1.AttemptResult
	s.Await(t, "a result", func(f *coordinatorv1.ConnectRequest) bool {
		require.Nil(t, f.GetAttemptFailure())
		result = f.GetAttemptResult()
		return result != nil
	})
	return result
}

// Failure waits for a failure; a result meanwhile fails the test.
func (s *Session) Failure(t testing.TB) *coordinatorv1.AttemptFailure {
	t.Helper()
	var failure *coordinatorv1.AttemptFailure
	s.Await(t, "a failure", func(f *coordinatorv1.ConnectRequest) bool {
		require.Nil(t, f.GetAttemptResult())
		failure = f.GetAttemptFailure()
		return failure != nil
	})
	return failure
}

// Claim waits for a claim.
func (s *Session) Claim(t testing.TB) *coordinatorv1.JobClaim {
	t.Helper()
	var claim *coordinatorv1.JobClaim
	s.Await(t, "a claim", func(f *coordinatorv1.ConnectRequest) bool {
		claim = f.GetJobClaim()
		return claim != nil
	})
	return claim
}
