package job

import (
	"fmt"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Error is a refused step with its reason, which the API shows.
type Error struct {
	// Why is the reason's class.
	Why coordinatorv1.ErrorReason
	// Message is for people.
	Message string
	// Field names the request's field at fault, if one is.
	Field string
}

// Error gives the message.
func (e *Error) Error() string { return e.Message }

// Reason gives the class, for the one place that maps errors to statuses.
func (e *Error) Reason() coordinatorv1.ErrorReason { return e.Why }

// FaultyField gives the request's field at fault, for the same place; empty: none is.
func (e *Error) FaultyField() string { return e.Field }

// Is makes two errors of the same reason equal for errors.Is.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Why == e.Why
}

// Sentinels to compare with errors.Is; each matches every error of its reason.
var (
	ErrNotFound     = &Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_JOB_NOT_FOUND, Message: "no such job"}
	ErrExists       = &Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_JOB_EXISTS, Message: "the job id is taken"}
	ErrWrongState   = &Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE, Message: "the job's state does not allow this"}
	ErrLeaseNotHeld = &Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_LEASE_NOT_HELD, Message: "the caller does not hold the job's current lease"}
	ErrMismatch     = &Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_IDEMPOTENCY_MISMATCH, Message: "the idempotency key was used with another request"}
)

// Errorf makes an error of a reason.
func Errorf(why coordinatorv1.ErrorReason, format string, args ...any) *Error {
	return &Error{Why: why, Message: fmt.Sprintf(format, args...)}
}
