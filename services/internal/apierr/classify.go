package apierr

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Reasoner is an error of a domain package that knows its reason. Its own Error text is shown to
// the caller; texts wrapped around it are not.
type Reasoner interface {
	error
	Reason() coordinatorv1.ErrorReason
}

// detailer is what a Reasoner may know besides.
type detailer interface {
	// Details gives every variable of the error's text.
	Details() map[string]string
}

// retrier is what a Reasoner may know besides.
type retrier interface {
	RetryAfter() time.Duration
}

// fielder is what a Reasoner with INVALID_FIELD should know besides.
type fielder interface {
	// FaultyField is the path of the request's field at fault; empty: none is.
	FaultyField() string
}

// From classifies any error that a handler returned; nil gives nil. The context is the call's: only
// when it has ended is a cancellation the caller's doing, else it is a fault of ours.
func From(ctx context.Context, err error) *Error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	var domain Reasoner
	if errors.As(err, &domain) {
		return fromDomain(domain, err)
	}
	if ctx.Err() != nil && isCancellation(err) {
		return New(coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED, "the caller's deadline passed or it went away").WithCause(err)
	}
	if foreign, ok := status.FromError(err); ok {
		return fromForeign(foreign, err)
	}
	return Internal(err)
}

// Status maps an error to the status that is sent. requestID is the correlation id of an INTERNAL.
func Status(ctx context.Context, err error, requestID string) *status.Status {
	if err == nil {
		return status.New(codes.OK, "")
	}
	return From(ctx, err).Status(requestID)
}

func fromDomain(domain Reasoner, chain error) *Error {
	e := New(domain.Reason(), "%s", domain.Error())
	if f, ok := domain.(fielder); ok && f.FaultyField() != "" {
		e = InvalidField(f.FaultyField(), "%s", domain.Error())
		e.Reason = domain.Reason()
	}
	if d, ok := domain.(detailer); ok {
		for key, value := range d.Details() {
			e = e.With(key, value)
		}
	}
	if r, ok := domain.(retrier); ok {
		e.RetryAfter = r.RetryAfter()
	}
	e.cause = chain
	return e
}

// fromForeign reads a status made by the gRPC library itself or by another of our servers. A status
// of anybody else that a handler passed on lands at Internal: its text was not written for our caller.
func fromForeign(foreign *status.Status, err error) *Error {
	if e, ok := FromStatus(foreign); ok {
		return e.WithCause(err)
	}
	switch foreign.Code() {
	case codes.Unimplemented:
		return New(coordinatorv1.ErrorReason_ERROR_REASON_ROUTE_NOT_FOUND, "no such method").WithCause(err)
	case codes.ResourceExhausted:
		return New(coordinatorv1.ErrorReason_ERROR_REASON_BODY_TOO_LARGE, "the message is over the size limit").WithCause(err)
	default:
		return Internal(err)
	}
}

func isCancellation(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	code := status.Code(err)
	return code == codes.Canceled || code == codes.DeadlineExceeded
}
