package aitbc

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Reason says why a call or a job failed, in one word of the contract's ErrorReason. New ones may
// come; docs/errors.md lists all with what to do.
type Reason string

// The reasons that programs most often tell apart.
const (
	ReasonInvalidField        Reason = "INVALID_FIELD"
	ReasonInvalidKey          Reason = "INVALID_KEY"
	ReasonScopeMissing        Reason = "SCOPE_MISSING"
	ReasonInsufficientFunds   Reason = "INSUFFICIENT_FUNDS"
	ReasonJobNotFound         Reason = "JOB_NOT_FOUND"
	ReasonReceiptNotFound     Reason = "RECEIPT_NOT_FOUND"
	ReasonModelNotFound       Reason = "MODEL_NOT_FOUND"
	ReasonIdempotencyMismatch Reason = "IDEMPOTENCY_MISMATCH"
	ReasonWrongState          Reason = "WRONG_STATE"
	ReasonRateLimited         Reason = "RATE_LIMITED"
	ReasonOverloaded          Reason = "OVERLOADED"
	ReasonLedgerUnavailable   Reason = "LEDGER_UNAVAILABLE"
	ReasonInternal            Reason = "INTERNAL"
	ReasonQueueTimeout        Reason = "QUEUE_TIMEOUT"
	ReasonExecutionLimit      Reason = "EXECUTION_LIMIT"
	ReasonCancelled           Reason = "CANCELLED"
	ReasonRequestRejected     Reason = "REQUEST_REJECTED"
	ReasonModelNotAllowed     Reason = "MODEL_NOT_ALLOWED"
	ReasonPriorityNotAllowed  Reason = "PRIORITY_NOT_ALLOWED"
	ReasonSpendLimit          Reason = "SPEND_LIMIT"
	ReasonMinerNotFound       Reason = "MINER_NOT_FOUND"
	ReasonKeyNotFound         Reason = "KEY_NOT_FOUND"
	ReasonRouteNotFound       Reason = "ROUTE_NOT_FOUND"
	reasonCallAbandoned       Reason = "CALL_ABANDONED"

	// ReasonUnreachable is this package's own: no coordinator answered.
	ReasonUnreachable Reason = "UNREACHABLE"
)

const errorDomain = "aitbc"

// Error is a call that failed. It is the same over REST and gRPC; get it with [errors.As].
// [errors.Is] with [context.Canceled] and [context.DeadlineExceeded] works too.
type Error struct {
	// Reason says why; empty when what answered is not a coordinator, or the context ended.
	Reason Reason
	// Code is the gRPC code, over REST too.
	Code codes.Code
	// Message is for people.
	Message string
	// Fields names the request's faulty fields.
	Fields []FieldError
	// Metadata holds the message's variables.
	Metadata map[string]string
	// RetryAfter is when to come back, if the coordinator said so.
	RetryAfter time.Duration
	// RequestID finds the call in the coordinator's log.
	RequestID string
	// Tries is how often the call was tried.
	Tries int

	cause error
}

// FieldError is a fault of one field of a request.
type FieldError struct {
	// Field is its path, such as "options.stop[2]".
	Field string
	// Message says what it should be.
	Message string
}

// Error gives message and reason.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for _, f := range e.Fields {
		if !strings.Contains(e.Message, f.Field) {
			fmt.Fprintf(&b, "; %s: %s", f.Field, f.Message)
		}
	}
	if e.Reason != "" {
		fmt.Fprintf(&b, " (%s)", e.Reason)
	}
	return b.String()
}

// Unwrap gives the context's error when that ended the call.
func (e *Error) Unwrap() error { return e.cause }

func (e *Error) retryable() bool {
	return e.Code == codes.Unavailable || (e.Code == codes.ResourceExhausted && e.RetryAfter > 0)
}

// errorOf makes an Error of a status. contextErr is that of the call's context.
func errorOf(s *status.Status, target string, contextErr error) *Error {
	e := &Error{Code: s.Code(), Message: s.Message()}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == errorDomain {
				e.Reason, e.Metadata = Reason(d.GetReason()), d.GetMetadata()
				e.RequestID = d.GetMetadata()["request_id"]
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Fields = append(e.Fields, FieldError{Field: v.GetField(), Message: v.GetDescription()})
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	switch {
	case e.Reason != "":
	case contextErr != nil && (e.Code == codes.Canceled || e.Code == codes.DeadlineExceeded):
		e.cause = contextErr
		e.Message = fmt.Sprintf("no answer from %s: %v", target, contextErr)
	case e.Code == codes.Unavailable:
		e.Reason = ReasonUnreachable
		e.Message = fmt.Sprintf("no coordinator answers at %s: %s", target, s.Message())
	}
	return e
}

// answerError is an answer that breaks the contract.
func answerError(format string, args ...any) *Error {
	return &Error{Code: codes.Internal, Message: "the coordinator's answer: " + fmt.Sprintf(format, args...), Tries: 1}
}

// contextError is a wait that the context ended.
func contextError(ctx context.Context, what string) *Error {
	s := status.FromContextError(ctx.Err())
	return &Error{Code: s.Code(), Message: what + ": " + ctx.Err().Error(), cause: ctx.Err()}
}
