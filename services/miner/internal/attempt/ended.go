package attempt

import (
	"errors"
	"slices"
	"strings"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

const (
	cancelled = coordinatorv1.ErrorReason_ERROR_REASON_CANCELLED
	minerLost = coordinatorv1.ErrorReason_ERROR_REASON_MINER_LOST

	// maxEnded is how many attempts without a result are remembered, so that a repeated lease is
	// not run again. One that is older than so many others was given up long ago.
	maxEnded = 1024
	// maxMessage is the contract's limit of a failure's text, in bytes.
	maxMessage = 1000
)

// offered names a lease by who gave it: anybody can give a lease any id.
type offered struct {
	by party
	id string
}

// ended remembers the attempts that ended without a result.
type ended struct {
	byLease map[offered]*coordinatorv1.AttemptFailure
	order   []offered // oldest first
	untold  []offered // in the order of telling
}

func newEnded() ended { return ended{byLease: map[offered]*coordinatorv1.AttemptFailure{}} }

// fail notes a failure that the coordinator must hear of.
func (e *ended) fail(l offered, err error) {
	e.note(l, err)
	e.again(l)
}

// note notes a failure that nobody needs to hear of unless the lease comes again.
func (e *ended) note(l offered, err error) {
	if e.byLease[l] == nil {
		e.order = append(e.order, l)
	}
	e.byLease[l] = wireFailure(l.id, err)
	for len(e.order) > maxEnded {
		delete(e.byLease, e.order[0])
		e.told(e.order[0])
		e.order = e.order[1:]
	}
}

// again has a known failure told, once more; false: it is not known.
func (e *ended) again(l offered) bool {
	if e.byLease[l] == nil {
		return false
	}
	if !slices.Contains(e.untold, l) {
		e.untold = append(e.untold, l)
	}
	return true
}

func (e *ended) told(l offered) {
	e.untold = slices.DeleteFunc(e.untold, func(other offered) bool { return other == l })
}

func (e *ended) toTell(concerns func(party) bool) []*coordinatorv1.AttemptFailure {
	var failures []*coordinatorv1.AttemptFailure
	for _, l := range e.untold {
		if concerns(l.by) {
			failures = append(failures, e.byLease[l])
		}
	}
	return failures
}

// wireFailure gives an error the contract's shape.
func wireFailure(id string, err error) *coordinatorv1.AttemptFailure {
	var failure *executor.Failure
	if !errors.As(err, &failure) {
		failure = &executor.Failure{Reason: executor.EngineError, Message: err.Error()}
	}
	text := failure.Message
	if failure.Err != nil {
		text += ": " + failure.Err.Error()
	}
	return &coordinatorv1.AttemptFailure{
		LeaseId: id,
		Reason:  strings.TrimPrefix(failure.Reason.String(), "ERROR_REASON_"),
		Message: cut(text),
	}
}

// cut shortens a text to the contract's limit, as valid UTF-8, which a proto string must be.
func cut(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxMessage)], "")
}
