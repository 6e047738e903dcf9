package api

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// caller gives the call's principal. A method without one is a fault of the rules.
func caller(ctx context.Context) (auth.Principal, error) {
	principal, ok := auth.From(ctx)
	if !ok {
		return auth.Principal{}, apierr.Internal(errors.New("a handler was reached without a key"))
	}
	return principal, nil
}

func parseJobID(text string) (aitbc.JobID, error) {
	id, err := aitbc.ParseJobID(text)
	if err != nil {
		return id, apierr.InvalidField("job_id", "must be `job_` and a lower-case ULID").WithCause(err)
	}
	return id, nil
}

func jobNotFound(id aitbc.JobID) error {
	return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_JOB_NOT_FOUND, "no job %s in your account", id).
		With("job_id", id.String()).WithCause(job.ErrNotFound)
}

func receiptNotFound(id string) error {
	return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_RECEIPT_NOT_FOUND, "no receipt %s of yours, or not yet", id).
		With("receipt_id", id)
}

// parseDigest takes the empty text for no digest. The contract has checked the pattern.
func parseDigest(field, text string) (aitbc.Hash, error) {
	if text == "" {
		return aitbc.Hash{}, nil
	}
	hash, err := aitbc.ParseHash(text)
	if err != nil {
		return hash, apierr.InvalidField(field, "must be 64 lower-case hex digits").WithCause(err)
	}
	return hash, nil
}

// stamp leaves unset what has not happened.
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// hexOrEmpty leaves unset what is not known.
func hexOrEmpty(h aitbc.Hash) string {
	if h.IsZero() {
		return ""
	}
	return h.String()
}

func accountOrEmpty(a aitbc.AccountID) string {
	if a.IsZero() {
		return ""
	}
	return a.String()
}
