package coordinatortest

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
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
	s.drop <- errors.New("dropped by the test")
	<-s.ended
}

// Replace ends the session as a coordinator does when another one of the same miner begins.
func (s *Session) Replace() {
	s.drop <- apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE, "a newer session has replaced this one").Status("").Err()
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

// Ask asks for a lease's text.
func (s *Session) Ask(t testing.TB, leaseID string, from int64) {
	t.Helper()
	request := &coordinatorv1.ChunkRequest{LeaseId: leaseID, FromOffset: from}
	s.send(t, &coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_ChunkRequest{ChunkRequest: request}})
}

// Progress waits for a running statement.
func (s *Session) Progress(t testing.TB) *coordinatorv1.AttemptProgress {
	t.Helper()
	var progress *coordinatorv1.AttemptProgress
	s.Await(t, "a running statement", func(f *coordinatorv1.ConnectRequest) bool {
		progress = f.GetAttemptProgress()
		return progress != nil
	})
	return progress
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

// Text waits until the pieces of a lease's text, which must follow each other from this offset on,
// make a text.
func (s *Session) Text(t testing.TB, leaseID string, from int64, want string) {
	t.Helper()
	got := ""
	s.Await(t, "the text "+want, func(f *coordinatorv1.ConnectRequest) bool {
		chunk := f.GetAttemptChunk()
		if chunk == nil || chunk.GetLeaseId() != leaseID {
			return got == want
		}
		require.Equal(t, from+int64(len(got)), chunk.GetOffset())
		got += chunk.GetText()
		return got == want
	})
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
