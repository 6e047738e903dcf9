package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/aitbctest"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	call := func(reason aitbc.Reason, code codes.Code) error {
		return fmt.Errorf("wrapped: %w", &aitbc.Error{Reason: reason, Code: code})
	}
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"a bad flag":              {usageError{errors.New("no")}, exitUsage},
		"a bad field":             {call(aitbc.ReasonInvalidField, codes.InvalidArgument), exitUsage},
		"a body over its limit":   {call("BODY_TOO_LARGE", codes.ResourceExhausted), exitUsage},
		"no such job":             {call(aitbc.ReasonJobNotFound, codes.NotFound), exitNotFound},
		"a wrong key":             {call(aitbc.ReasonInvalidKey, codes.Unauthenticated), exitKey},
		"a key without the scope": {call(aitbc.ReasonScopeMissing, codes.PermissionDenied), exitKey},
		"no funds":                {call(aitbc.ReasonInsufficientFunds, codes.FailedPrecondition), exitFunds},
		"a job that failed":       {endedError{&aitbc.JobError{}}, exitJob},
		"too late to cancel":      {call(aitbc.ReasonWrongState, codes.FailedPrecondition), exitState},
		"the id of another":       {call("JOB_EXISTS", codes.AlreadyExists), exitState},
		"overloaded":              {call(aitbc.ReasonOverloaded, codes.Unavailable), exitLater},
		"rate limited":            {call(aitbc.ReasonRateLimited, codes.ResourceExhausted), exitLater},
		"--timeout passed":        {waitError{error: call("", codes.DeadlineExceeded)}, exitLater},
		"a forged receipt":        {fmt.Errorf("%w: lease", aitbc.ErrReceipt), exitReceipt},
		"a fault of theirs":       {call(aitbc.ReasonInternal, codes.Internal), exitOther},
		"a full disk":             {errors.New("no space left"), exitOther},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, exitCode(t.Context(), c.err))
		})
	}
}

func TestInterruptedWaitNamesItsJob(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	server, err := aitbctest.Start(aitbctest.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Close()) }()
	client, err := aitbc.New(server.Target(), aitbc.WithAPIKey(aitbctest.APIKey))
	require.NoError(t, err)
	defer client.Close()
	submitted, err := client.Submit(ctx, aitbc.SubmitRequest{Prompt: "p", Model: "m"})
	require.NoError(t, err)

	var stderr bytes.Buffer
	a := newApp(streams{out: &bytes.Buffer{}, err: &stderr, getenv: func(string) string { return "" }})
	interrupt()
	err = a.follow(ctx, client, submitted.JobID)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, exitInterrupted, a.fail(ctx, err))
	require.Contains(t, stderr.String(), "the job goes on: aitbc status "+submitted.JobID.String())
}
