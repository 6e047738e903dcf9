package attempt

import (
	"sync"
	"sync/atomic"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/crash"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

// The faults below exist only in programs built for tools/chaos, which plants one at a time to see
// that its checker finds it.

// planted is what the faults remember.
var planted struct {
	mu     sync.Mutex
	before []byte
	reads  atomic.Int64
}

// plantedAnswer is an answer that is signed in place of another: that of the lease before.
func plantedAnswer(text []byte) []byte {
	if !crash.Enabled || !crash.Planted("stale-answer") {
		return text
	}
	planted.mu.Lock()
	defer planted.mu.Unlock()
	before := planted.before
	if planted.before = text; before == nil {
		return text
	}
	return before
}

// plantedBytes are bytes that are sent in place of those whose hash was signed.
func plantedBytes(text []byte) string {
	if crash.Enabled && crash.Planted("other-bytes") {
		return string(text) + " "
	}
	return string(text)
}

// plantedTwin is a second statement about a lease, with another answer: every other time that its result
// is read.
func (r *Runner) plantedTwin(record spool.Record) *coordinatorv1.AttemptResult {
	result := record.Result
	if !crash.Enabled || !crash.Planted("two-answers") || planted.reads.Add(1)%2 == 1 {
		return result
	}
	statement, err := aitbc.ParseStatement(result.GetStatementBody())
	if err != nil {
		return result
	}
	result.Result += "!"
	statement.ResultCommitment = aitbc.Commitment(aitbc.Salt(record.Lease.GetSalt()), aitbc.ResultHash([]byte(result.GetResult())))
	result.StatementBody = statement.SigningBytes()
	result.StatementSignature = aitbc.Sign(r.deps.Key, result.GetStatementBody())
	return result
}
