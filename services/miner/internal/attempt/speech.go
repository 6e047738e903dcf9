package attempt

import (
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

// maxPiece bounds what Said gives at once, in bytes: the contract's limit of a piece.
const maxPiece = 64 << 10

// speech is what a run's engine has said so far.
type speech struct {
	mu   sync.Mutex // taken after the runner's, or alone
	text []byte
	// last is the last piece.
	last executor.Piece
	// engine is who speaks; empty until it is known to be of the lease's model: nothing is signed before.
	engine string
	// signedAt and signedTokens are of the last running statement; before the first, when the first
	// piece came, and none.
	signedAt     time.Time
	signedTokens uint32
}

// check says that the model is the lease's.
func (s *speech) check(engine string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.engine = engine
}

// hear notes a piece of a run's answer. It is called by the engine's client and waits for nobody: a
// session that is busy finds more to send when it looks again.
func (r *Runner) hear(x *run, piece executor.Piece) {
	x.speech.mu.Lock()
	x.speech.text = append(x.speech.text, piece.Text...)
	x.speech.last = piece
	if x.speech.signedAt.IsZero() {
		x.speech.signedAt = time.Now()
	}
	x.speech.mu.Unlock()
	select {
	case r.spoken <- struct{}{}:
	default: // it will look anyway
	}
}

// Spoken gets one when a run has said more since it was last taken from.
func (r *Runner) Spoken() <-chan struct{} { return r.spoken }

// runningOf gives an operator's running lease; nil: there is none with this id.
func (r *Runner) runningOf(op Operator, leaseID string) *run {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x := r.running[leaseID]; x != nil && x.job.operator.party() == op.party() {
		return x
	}
	return nil
}

// Said gives what the engine of this operator's running lease has said from this byte on, up to 64 KiB
// at once, cut between characters. Empty: nothing more yet, or no such lease runs.
func (r *Runner) Said(op Operator, leaseID string, from int64) string {
	x := r.runningOf(op, leaseID)
	if x == nil {
		return ""
	}
	x.speech.mu.Lock()
	defer x.speech.mu.Unlock()
	if from < 0 || from >= int64(len(x.speech.text)) {
		return ""
	}
	rest := x.speech.text[from:]
	if !utf8.RuneStart(rest[0]) { // no piece of ours ended here
		return ""
	}
	end := min(len(rest), maxPiece)
	for end < len(rest) && !utf8.RuneStart(rest[end]) {
		end--
	}
	return string(rest[:end])
}
