package api

import (
	"cmp"
	"context"
	"encoding/hex"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

type leaseServer struct {
	coordinatorv1.UnimplementedLeaseServiceServer
	deps Deps
}

// ListLeases implements LeaseService.
func (s *leaseServer) ListLeases(ctx context.Context, r *coordinatorv1.ListLeasesRequest) (*coordinatorv1.ListLeasesResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.deps.Leases.Leases(ctx, who.Account)
	if err != nil {
		return nil, err
	}
	byID := func(h dispatch.Handover) string { return string(h.Job.ID[:]) }
	part, next, err := page(all, byID, "leases/"+who.Account.String(), r.GetPageToken(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	response := &coordinatorv1.ListLeasesResponse{NextPageToken: next}
	for _, h := range part {
		response.Leases = append(response.Leases, LeaseMessage(h))
	}
	return response, nil
}

// StartJob implements LeaseService.
func (s *leaseServer) StartJob(ctx context.Context, r *coordinatorv1.StartJobRequest) (*coordinatorv1.StartJobResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	id, err := parseJobID(r.GetJobId())
	if err != nil {
		return nil, err
	}
	var startedAt time.Time
	if r.GetStartedAt() != nil {
		startedAt = r.GetStartedAt().AsTime()
	}
	j, err := s.deps.Leases.Start(ctx, who.Account, id, startedAt)
	if err != nil {
		return nil, err
	}
	return &coordinatorv1.StartJobResponse{JobId: j.ID.String(), Status: string(j.Status())}, nil
}

// CompleteJob implements LeaseService.
func (s *leaseServer) CompleteJob(ctx context.Context, r *coordinatorv1.CompleteJobRequest) (*coordinatorv1.CompleteJobResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	completion, err := completionOf(r)
	if err != nil {
		return nil, err
	}
	j, err := s.deps.Leases.CompleteParts(ctx, who.Account, completion)
	if err != nil {
		return nil, err
	}
	response := &coordinatorv1.CompleteJobResponse{
		JobId:     j.ID.String(),
		Status:    string(j.Status()),
		ReceiptId: j.ID.ReceiptID(),
	}
	if c := j.Completion; c != nil {
		response.Acceptance = &coordinatorv1.Acceptance{
			Body:      c.Acceptance().SigningBytes(),
			Signature: c.AcceptanceSignature,
			MeteredUs: c.MeteredUS,
		}
	}
	return response, nil
}

func completionOf(r *coordinatorv1.CompleteJobRequest) (dispatch.Completion, error) {
	c := dispatch.Completion{
		Attempt:        uint32(r.GetAttempt()),
		Result:         r.GetResult(),
		ComputeUS:      int64(math.Round(r.GetMetrics().GetComputeTime() * microsecondsPerSecond)),
		PromptTokens:   uint32(cmp.Or(r.GetPromptTokens(), r.GetMetrics().GetPromptTokens())),
		OutputTokens:   uint32(r.GetMetrics().GetTokensGenerated()),
		Engine:         r.GetEngine(),
		FinishReason:   r.GetMetrics().GetFinishReason(),
		GPUUtilization: r.GetMetrics().GpuUtilization,
	}
	var err error
	if c.JobID, err = parseJobID(r.GetJobId()); err != nil {
		return c, err
	}
	if c.Hash, err = aitbc.ParseHash(r.GetProof().GetHash()); err != nil {
		return c, apierr.InvalidField("proof.hash", "must be 64 lower-case hex digits").WithCause(err)
	}
	if c.Signature, err = signature(r.GetProof().GetSignature()); err != nil {
		return c, err
	}
	c.ModelDigest, err = parseDigest("model_digest", r.GetModelDigest())
	return c, err
}

// signature takes lower-case hex only, so that a signature has one text.
func signature(text string) ([]byte, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != signatureBytes || hex.EncodeToString(raw) != text {
		return nil, apierr.InvalidField("proof.signature", "must be %d lower-case hex digits", 2*signatureBytes).WithCause(err)
	}
	return raw, nil
}

// signatureBytes is the size of an Ed25519 signature.
const signatureBytes = 64

// LeaseMessage is a lease with all that running it and signing its statement needs.
func LeaseMessage(h dispatch.Handover) *coordinatorv1.Lease {
	lease := h.Job.Lease()
	return &coordinatorv1.Lease{
		LeaseId:        lease.ID(),
		JobId:          h.Job.ID.String(),
		Attempt:        int32(h.Job.Attempt),
		Body:           lease.SigningBytes(),
		Signature:      h.Job.LeaseSignature,
		OrderBody:      h.Job.Order.SigningBytes(),
		Salt:           h.Job.Salt[:],
		Type:           h.Job.Type,
		Prompt:         h.Payload.Prompt,
		Model:          h.Job.Model,
		ModelDigest:    h.Job.ModelDigest.String(),
		Options:        optionsMessage(h.Payload.Options),
		ExecutionLimit: durationpb.New(h.Job.ExecutionLimit()),
		IssuedAt:       stamp(h.Job.LeasedAt),
		SettleAtLimit:  h.Job.ClientLimit,
	}
}

func optionsMessage(o aitbc.Options) *coordinatorv1.JobOptions {
	return &coordinatorv1.JobOptions{
		Temperature:   o.Temperature,
		NumPredict:    o.NumPredict,
		TopP:          o.TopP,
		TopK:          o.TopK,
		MinP:          o.MinP,
		RepeatPenalty: o.RepeatPenalty,
		Seed:          o.Seed,
		Stop:          o.Stop,
		Format:        o.Format,
	}
}
