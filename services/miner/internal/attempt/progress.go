package attempt

import (
	"time"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// How often a running statement is signed: when there are so many tokens more, or when there is one
// and a second has passed. The session looks about once a second, not on the dot.
const (
	progressTokens   = 64
	progressInterval = 900 * time.Millisecond
)

// ProgressDue reports whether it is time for this operator's running lease to be signed for again.
func (r *Runner) ProgressDue(op Operator, leaseID string) bool {
	x := r.runningOf(op, leaseID)
	if x == nil {
		return false
	}
	x.speech.mu.Lock()
	defer x.speech.mu.Unlock()
	return x.speech.due(time.Now())
}

// due reports whether a running statement should be signed. The mutex is held.
func (s *speech) due(now time.Time) bool {
	more := s.last.OutputTokens - s.signedTokens
	return s.engine != "" && more > 0 && (more >= progressTokens || now.Sub(s.signedAt) >= progressInterval)
}

// Progress signs a running statement of this operator's running lease, whose first told bytes the
// operator was sent. Nil: it is not time for one, or there is text that must be sent before.
func (r *Runner) Progress(op Operator, leaseID string, told int64) *coordinatorv1.AttemptProgress {
	x := r.runningOf(op, leaseID)
	if x == nil {
		return nil
	}
	now := time.Now()
	s := &x.speech
	s.mu.Lock()
	if told != int64(len(s.text)) || !s.due(now) {
		s.mu.Unlock()
		return nil
	}
	s.signedAt, s.signedTokens = now, s.last.OutputTokens
	// What is there never changes, so it can be read without the mutex.
	text, last, engine := s.text[:told:told], s.last, s.engine
	s.mu.Unlock()

	statement := x.job.statement(aitbc.ResultHash(append(text, last.Ending...)), engine)
	statement.Running = true
	statement.ComputeUS, statement.OutputTokens = last.Compute.Microseconds(), last.OutputTokens
	body := statement.SigningBytes()
	return &coordinatorv1.AttemptProgress{
		LeaseId: leaseID, TextBytes: told, Ending: last.Ending,
		StatementBody: body, StatementSignature: aitbc.Sign(r.deps.Key, body),
	}
}
