package aitbctest

import (
	"context"
	"crypto/rand"
	"errors"
	"sort"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

const (
	price          = aitbc.Amount(20_000)
	executionLimit = 300 * time.Second
	maxPromptBytes = 262_144
	defaultPage    = 50
)

// book is all that the server knows.
type book struct {
	cfg     Config
	parties parties

	mu       sync.Mutex
	jobs     map[string]*entry
	requests map[string]string // request id to job id
	spent    aitbc.Amount
	keys     []*apiKey
}

// entry is a job and what becomes of it.
type entry struct {
	request *coordinatorv1.SubmitJobRequest
	job     *coordinatorv1.Job
	answer  Answer
	failure *aitbc.JobError
	receipt *coordinatorv1.Receipt
}

type jobService struct {
	coordinatorv1.UnimplementedJobServiceServer
	book *book
}

// SubmitJob runs the job at once, and shows so only later.
func (s jobService) SubmitJob(ctx context.Context, req *coordinatorv1.SubmitJobRequest) (*coordinatorv1.SubmitJobResponse, error) {
	switch {
	case req.GetType() != aitbc.TypeInference && req.GetType() != aitbc.TypeChat && req.GetType() != aitbc.TypeEmbedding:
		return nil, invalidField("type", "use one of: inference, chat, embedding")
	case req.GetType() == aitbc.TypeInference && req.GetPrompt() == "" || len(req.GetPrompt()) > maxPromptBytes:
		return nil, invalidField("prompt", "must be 1 to 262144 bytes")
	case req.GetModel() == "":
		return nil, invalidField("model", "must not be empty")
	}
	b := s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.jobs[b.requests[req.GetRequestId()]]; req.GetRequestId() != "" && e != nil {
		if !proto.Equal(e.request, req) {
			return nil, refusal(aitbc.ReasonIdempotencyMismatch, codes.AlreadyExists, "the request id was used for another request")
		}
		return b.submitted(e), nil
	}
	e, err := b.newEntry(ctx, req)
	if err != nil {
		return nil, err
	}
	b.jobs[e.job.GetJobId()] = e
	b.requests[req.GetRequestId()] = e.job.GetJobId()
	return b.submitted(e), nil
}

func (b *book) submitted(e *entry) *coordinatorv1.SubmitJobResponse {
	return &coordinatorv1.SubmitJobResponse{
		JobId: e.job.GetJobId(), Status: e.job.GetStatus(), SubmittedAt: e.job.GetSubmittedAt(), Available: proto.String((b.cfg.Balance - b.spent).String()),
	}
}

func (b *book) newEntry(ctx context.Context, req *coordinatorv1.SubmitJobRequest) (*entry, error) {
	asked, err := requestOf(req)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	id, err := aitbc.NewJobID(now, rand.Reader)
	if err != nil {
		return nil, err
	}
	limit := asked.MaxPrice
	if limit == 0 {
		limit = aitbc.Price(executionLimit, price, b.cfg.Balance)
	}
	if limit > b.cfg.Balance-b.spent {
		return nil, refusal(aitbc.ReasonInsufficientFunds, codes.FailedPrecondition, "the balance does not cover the price limit")
	}
	e := &entry{request: req, job: &coordinatorv1.Job{
		JobId: id.String(), Status: string(aitbc.StatusPending), Phase: "queued", Type: req.GetType(), Model: req.GetModel(),
		SubmittedAt: timestamppb.New(now), MaxPrice: limit.String(), TxHash: hashText("escrow " + id.String()),
	}}
	e.answer, err = b.cfg.Answer(ctx, asked)
	if err != nil && !errors.As(err, &e.failure) {
		return nil, err
	}
	if e.failure == nil {
		e.receipt, err = b.parties.receipt(id, asked, e.answer, limit, now)
	} else {
		err = nil
	}
	return e, err
}

// step moves a job one step on.
func (b *book) step(e *entry) {
	switch aitbc.Status(e.job.GetStatus()) {
	case aitbc.StatusPending:
		e.job.Status, e.job.Phase, e.job.Attempts = string(aitbc.StatusRunning), "running", 1
		e.job.MinerId = b.parties.miner.account.String()
		e.job.StartedAt = e.job.GetSubmittedAt()
	case aitbc.StatusRunning:
		b.finish(e)
	case aitbc.StatusCompleted, aitbc.StatusFailed, aitbc.StatusCancelled:
	}
}

func (b *book) finish(e *entry) {
	e.job.Phase = "done"
	e.job.CompletedAt = timestamppb.New(e.job.GetSubmittedAt().AsTime().Add(e.answer.TotalTime))
	if e.failure != nil {
		e.job.Status = string(aitbc.StatusFailed)
		e.job.Error = &coordinatorv1.JobError{Reason: string(e.failure.Reason), Message: e.failure.Message}
		b.refund(e)
		return
	}
	e.job.Status = string(aitbc.StatusCompleted)
	e.job.Result = e.answer.Text
	e.job.ReceiptId = e.receipt.GetReceiptId()
	e.job.Cost = e.receipt.GetAmountPaid()
	e.job.ModelDigest = e.receipt.GetModelDigest()
	e.job.Metrics = &coordinatorv1.JobMetrics{ComputeTime: e.answer.ComputeTime.Seconds(), TokensGenerated: outputTokens}
	if paid, err := aitbc.ParseAmount(e.job.GetCost()); err == nil {
		b.spent += paid
	}
}

func (b *book) refund(e *entry) {
	e.job.Cost = aitbc.Amount(0).String()
	e.job.Refund = &coordinatorv1.JobRefund{
		Amount: e.job.GetMaxPrice(), TxHash: hashText("refund " + e.job.GetJobId()), FinalAt: e.job.GetCompletedAt(),
	}
}

func (b *book) find(id string) (*entry, error) {
	if e := b.jobs[id]; e != nil {
		return e, nil
	}
	return nil, refusal(aitbc.ReasonJobNotFound, codes.NotFound, "no job "+strconv.Quote(id)+" of this account")
}

// GetJob shows the job and moves it on.
func (s jobService) GetJob(_ context.Context, req *coordinatorv1.GetJobRequest) (*coordinatorv1.GetJobResponse, error) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	e, err := s.book.find(req.GetJobId())
	if err != nil {
		return nil, err
	}
	s.book.step(e)
	return &coordinatorv1.GetJobResponse{Job: proto.CloneOf(e.job)}, nil
}

// CancelJob ends a job that has not ended.
func (s jobService) CancelJob(_ context.Context, req *coordinatorv1.CancelJobRequest) (*coordinatorv1.CancelJobResponse, error) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	e, err := s.book.find(req.GetJobId())
	if err != nil {
		return nil, err
	}
	switch aitbc.Status(e.job.GetStatus()) {
	case aitbc.StatusCompleted, aitbc.StatusFailed:
		return nil, refusal(aitbc.ReasonWrongState, codes.FailedPrecondition, "the job has ended: "+e.job.GetStatus())
	case aitbc.StatusPending, aitbc.StatusRunning:
		e.job.Status, e.job.Phase = string(aitbc.StatusCancelled), "done"
		e.job.CompletedAt = e.job.GetSubmittedAt()
		e.job.Error = &coordinatorv1.JobError{Reason: string(aitbc.ReasonCancelled), Message: "the client cancelled it"}
		s.book.refund(e)
	case aitbc.StatusCancelled:
	}
	return &coordinatorv1.CancelJobResponse{Job: proto.CloneOf(e.job)}, nil
}

// ListJobs gives the jobs, newest first; a page token is the last id of the page before.
func (s jobService) ListJobs(_ context.Context, req *coordinatorv1.ListJobsRequest) (*coordinatorv1.ListJobsResponse, error) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	list := &coordinatorv1.ListJobsResponse{}
	for _, e := range s.book.newestFirst() {
		if (req.GetStatus() != "" && e.job.GetStatus() != req.GetStatus()) || (req.GetPageToken() != "" && e.job.GetJobId() >= req.GetPageToken()) {
			continue
		}
		if len(list.GetJobs()) == size {
			list.NextPageToken = list.GetJobs()[size-1].GetJobId()
			break
		}
		job := proto.CloneOf(e.job)
		job.Result = ""
		list.Jobs = append(list.Jobs, job)
	}
	return list, nil
}

func (b *book) newestFirst() []*entry {
	list := make([]*entry, 0, len(b.jobs))
	for _, e := range b.jobs {
		list = append(list, e)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].job.GetJobId() > list[j].job.GetJobId() })
	return list
}
