package apierr_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

func TestEveryReasonHasExactlyOneRow(t *testing.T) {
	t.Parallel()
	rows := make(map[coordinatorv1.ErrorReason]int)
	for _, row := range apierr.Rows() {
		rows[row.Reason]++
		require.Equal(t, row, apierr.RowOf(row.Reason), "a row must be at its reason's index")
		require.NotEqual(t, codes.OK, row.Code)
		require.GreaterOrEqual(t, row.HTTP, 400)
		require.NotEmpty(t, row.Remedy)
		parsed, ok := apierr.ParseWord(apierr.Word(row.Reason))
		require.True(t, ok)
		require.Equal(t, row.Reason, parsed)
	}
	for number, name := range coordinatorv1.ErrorReason_name {
		want := 1
		if number == 0 {
			want = 0
		}
		require.Equal(t, want, rows[coordinatorv1.ErrorReason(number)], name)
	}
}

func TestHTTPStatusesOfTheRESTContract(t *testing.T) {
	t.Parallel()
	for reason, want := range map[coordinatorv1.ErrorReason]int{
		coordinatorv1.ErrorReason_ERROR_REASON_INVALID_FIELD:        400,
		coordinatorv1.ErrorReason_ERROR_REASON_INVALID_KEY:          401,
		coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS:   402,
		coordinatorv1.ErrorReason_ERROR_REASON_SCOPE_MISSING:        403,
		coordinatorv1.ErrorReason_ERROR_REASON_JOB_NOT_FOUND:        404,
		coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND:      404,
		coordinatorv1.ErrorReason_ERROR_REASON_IDEMPOTENCY_MISMATCH: 409,
		coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE:          409,
		coordinatorv1.ErrorReason_ERROR_REASON_BODY_TOO_LARGE:       413,
		coordinatorv1.ErrorReason_ERROR_REASON_RATE_LIMITED:         429,
		coordinatorv1.ErrorReason_ERROR_REASON_INTERNAL:             500,
		coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED:           503,
		// A reason of a newer contract.
		9999: 500,
		-1:   500,
	} {
		require.Equal(t, want, apierr.RowOf(reason).HTTP, reason.String())
	}
}

func TestStatusRoundTrip(t *testing.T) {
	t.Parallel()
	sent := apierr.InvalidFields(
		apierr.Violation{Field: "prompt", Remedy: "must not be empty"},
		apierr.Violation{Field: "options.top_k", Remedy: "must be at least 1"},
	).WithRetryAfter(3 * time.Second)
	st := sent.Status("id")
	require.Equal(t, codes.InvalidArgument, st.Code())
	require.Equal(t, "prompt: must not be empty; options.top_k: must be at least 1", st.Message())
	got, ok := apierr.FromStatus(st)
	require.True(t, ok)
	require.Equal(t, sent, got)
	require.Equal(t, 1, count[*errdetails.ErrorInfo](st))
	require.Equal(t, 1, count[*errdetails.BadRequest](st))
	require.Equal(t, 1, count[*errdetails.RetryInfo](st))
}

func TestWithReturnsCopies(t *testing.T) {
	t.Parallel()
	base := apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_JOB_NOT_FOUND, "no such job").With("a", "1")
	changed := base.With("b", "2").WithRetryAfter(time.Second)
	require.Equal(t, map[string]string{"a": "1"}, base.Metadata)
	require.Zero(t, base.RetryAfter)
	require.Equal(t, map[string]string{"a": "1", "b": "2"}, changed.Metadata)
}

type domainError struct{ reason coordinatorv1.ErrorReason }

func (e domainError) Error() string                     { return "the job has ended" }
func (e domainError) Reason() coordinatorv1.ErrorReason { return e.reason }
func (e domainError) Details() map[string]string        { return map[string]string{"status": "failed"} }
func (e domainError) RetryAfter() time.Duration         { return 2 * time.Second }

type fieldError struct{ domainError }

func (fieldError) FaultyField() string { return "max_price" }

func TestClassification(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wrongState := domainError{coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE}
	for name, test := range map[string]struct {
		ctx     context.Context
		err     error
		reason  coordinatorv1.ErrorReason
		message string
	}{
		"a domain error, wrapped": {
			err:     fmt.Errorf("cancel job_1 in /secret/path: %w", wrongState),
			reason:  coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE,
			message: "the job has ended",
		},
		"a domain error of a field": {
			err:     fieldError{domainError{coordinatorv1.ErrorReason_ERROR_REASON_INVALID_FIELD}},
			reason:  coordinatorv1.ErrorReason_ERROR_REASON_INVALID_FIELD,
			message: "max_price: the job has ended",
		},
		"ours, wrapped": {
			err:     fmt.Errorf("look up: %w", apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_JOB_NOT_FOUND, "no such job")),
			reason:  coordinatorv1.ErrorReason_ERROR_REASON_JOB_NOT_FOUND,
			message: "no such job",
		},
		"the caller went away": {
			ctx: ended, err: fmt.Errorf("query: %w", context.Canceled),
			reason:  coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED,
			message: "the caller's deadline passed or it went away",
		},
		"a deadline of our own passed": {
			err:     fmt.Errorf("query: %w", context.DeadlineExceeded),
			reason:  coordinatorv1.ErrorReason_ERROR_REASON_INTERNAL,
			message: "internal error; the operator's log has it under request id r1",
		},
		"anything else": {
			err:     errors.New("disk /dev/sda is on fire"),
			reason:  coordinatorv1.ErrorReason_ERROR_REASON_INTERNAL,
			message: "internal error; the operator's log has it under request id r1",
		},
		"a status of somebody else": {
			err:     status.Error(codes.NotFound, "their text"),
			reason:  coordinatorv1.ErrorReason_ERROR_REASON_INTERNAL,
			message: "internal error; the operator's log has it under request id r1",
		},
		"a method that is not implemented": {
			err:     status.Error(codes.Unimplemented, "method X not implemented"),
			reason:  coordinatorv1.ErrorReason_ERROR_REASON_ROUTE_NOT_FOUND,
			message: "no such method",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := test.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			st := apierr.Status(ctx, test.err, "r1")
			got, ok := apierr.FromStatus(st)
			require.True(t, ok)
			require.Equal(t, apierr.Word(test.reason), apierr.Word(got.Reason))
			require.Equal(t, test.message, st.Message())
		})
	}
}

func TestDomainDetailsTravel(t *testing.T) {
	t.Parallel()
	e := apierr.From(t.Context(), domainError{coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED})
	require.Equal(t, map[string]string{"status": "failed"}, e.Metadata)
	require.Equal(t, 2*time.Second, e.RetryAfter)
}

func count[T any](st *status.Status) int {
	n := 0
	for _, detail := range st.Details() {
		if _, ok := detail.(T); ok {
			n++
		}
	}
	return n
}
