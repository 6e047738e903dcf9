package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// The exit codes, one for each class of outcome that a script may want to tell apart.
const (
	exitDone        = 0
	exitOther       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitKey         = 4
	exitFunds       = 5
	exitJob         = 6
	exitState       = 7
	exitLater       = 8
	exitReceipt     = 9
	exitInterrupted = 130
)

func exitCodesText() string {
	return `0 done, 1 anything else, 2 the command line or a field of the request is
wrong, 3 no such job, receipt or model, 4 the key is refused, 5 not enough funds, 6 the job failed or
was cancelled, 7 the job's state or an earlier request forbids it, 8 no answer or too busy: try again
later, 9 the receipt does not check, 130 interrupted.`
}

// usageError is a command line that cannot be.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// waitError is a wait that ended before its job did.
type waitError struct {
	id aitbc.JobID
	error
}

func (e waitError) Unwrap() error { return e.error }

// endedError is a job that did not complete. The job has been printed.
type endedError struct{ error }

func (e endedError) Unwrap() error { return e.error }

// exitCode gives the class of an error.
func exitCode(ctx context.Context, err error) int {
	var call *aitbc.Error
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, new(usageError)):
		return exitUsage
	case errors.As(err, new(endedError)):
		return exitJob
	case errors.Is(err, aitbc.ErrReceipt):
		return exitReceipt
	case errors.As(err, &call):
		return callExitCode(call)
	}
	return exitOther
}

func callExitCode(e *aitbc.Error) int {
	switch e.Reason {
	case aitbc.ReasonInsufficientFunds:
		return exitFunds
	case aitbc.ReasonWrongState, aitbc.ReasonIdempotencyMismatch:
		return exitState
	case "BODY_TOO_LARGE":
		return exitUsage
	}
	switch e.Code {
	case codes.InvalidArgument:
		return exitUsage
	case codes.NotFound:
		return exitNotFound
	case codes.Unauthenticated, codes.PermissionDenied:
		return exitKey
	case codes.FailedPrecondition, codes.Aborted, codes.AlreadyExists:
		return exitState
	case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded:
		return exitLater
	default:
		return exitOther
	}
}

// fail tells about an error on standard error and gives the exit code.
func (a *app) fail(ctx context.Context, err error) int {
	report := reportOf(err)
	report.ExitCode = exitCode(ctx, err)
	if a.forPrograms() {
		if encodeJSON(a.err, map[string]any{"error": report}, "") != nil {
			return exitOther
		}
		return report.ExitCode
	}
	if errors.As(err, new(endedError)) && report.Remedy == "" {
		return report.ExitCode // the job's own lines have said it
	}
	var b strings.Builder
	if !errors.As(err, new(endedError)) {
		fmt.Fprintf(&b, "Error: %s\n", report.Message)
	}
	if report.Tries > 1 {
		fmt.Fprintf(&b, "Tried: %d times (the first try and %d retries)\n", report.Tries, report.Tries-1)
	}
	if report.RequestID != "" {
		fmt.Fprintf(&b, "Request ID: %s\n", report.RequestID)
	}
	if report.JobID != "" {
		fmt.Fprintf(&b, "Job ID: %s\n", report.JobID)
	}
	if report.Remedy != "" {
		fmt.Fprintf(&b, "What to do: %s\n", report.Remedy)
	}
	text := b.String()
	if a.errTTY {
		text = printable(text)
	}
	if _, err := fmt.Fprint(a.err, text); err != nil {
		return exitOther
	}
	return report.ExitCode
}
