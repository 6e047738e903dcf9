package api

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

type jobServer struct {
	coordinatorv1.UnimplementedJobServiceServer
	deps Deps
}

// SubmitJob implements JobService.
func (s *jobServer) SubmitJob(ctx context.Context, r *coordinatorv1.SubmitJobRequest) (*coordinatorv1.SubmitJobResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	request, err := submitRequest(who, r)
	if err != nil {
		return nil, err
	}
	j, err := s.deps.Jobs.Submit(ctx, request)
	if err != nil {
		return nil, err
	}
	answer := &coordinatorv1.SubmitJobResponse{
		JobId:       j.ID.String(),
		Status:      string(j.Status()),
		SubmittedAt: stamp(j.SubmittedAt),
	}
	// The job is durable: that nothing can be said of money now must not look as if it were not.
	if available, priced, err := s.deps.Jobs.Available(ctx, request); priced && err == nil {
		answer.Available = proto.String(available.String())
	}
	return answer, nil
}

// GetJob implements JobService.
func (s *jobServer) GetJob(ctx context.Context, r *coordinatorv1.GetJobRequest) (*coordinatorv1.GetJobResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	j, err := s.own(ctx, who.Account, r.GetJobId())
	if err != nil {
		return nil, err
	}
	message, err := s.whole(ctx, j)
	if err != nil {
		return nil, err
	}
	if j.Phase == job.Queued {
		message.Queue = queueMessage(s.deps.Jobs.Place(&j))
	}
	return &coordinatorv1.GetJobResponse{Job: message}, nil
}

// CancelJob implements JobService.
func (s *jobServer) CancelJob(ctx context.Context, r *coordinatorv1.CancelJobRequest) (*coordinatorv1.CancelJobResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	before, err := s.own(ctx, who.Account, r.GetJobId())
	if err != nil {
		return nil, err
	}
	j, err := s.deps.Jobs.Cancel(ctx, who.Account, before.ID)
	if err != nil {
		return nil, err
	}
	message, err := s.whole(ctx, j)
	if err != nil {
		return nil, err
	}
	return &coordinatorv1.CancelJobResponse{Job: message}, nil
}

// ListJobs implements JobService.
func (s *jobServer) ListJobs(ctx context.Context, r *coordinatorv1.ListJobsRequest) (*coordinatorv1.ListJobsResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	list := jobsList(who.Account, r.GetStatus())
	query := store.JobQuery{Client: who.Account, Status: job.Status(r.GetStatus()), Limit: pageSize(r.GetPageSize()) + 1}
	if query.Before, err = beforeOf(r.GetPageToken(), list); err != nil {
		return nil, err
	}
	jobs, err := s.deps.Reader.Jobs(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("listing jobs: %w", err)
	}
	response := &coordinatorv1.ListJobsResponse{}
	// One more was asked for than is given, to know whether there are more.
	if len(jobs) == query.Limit {
		jobs = jobs[:len(jobs)-1]
		last := jobs[len(jobs)-1].ID
		response.NextPageToken = pageToken{list: list, key: last[:]}.String()
	}
	for _, j := range jobs {
		response.Jobs = append(response.Jobs, jobMessage(j, ""))
	}
	return response, nil
}

func beforeOf(tokenText, list string) (id aitbc.JobID, err error) {
	token, err := parsePageToken(tokenText, list)
	if err != nil || token.key == nil {
		return id, err
	}
	if len(token.key) != len(id) {
		return id, apierr.InvalidField("page_token", "must be a next_page_token of an earlier answer")
	}
	return aitbc.JobID(token.key), nil
}

// own reads a job of this client; anybody else's does not exist.
func (s *jobServer) own(ctx context.Context, client aitbc.AccountID, idText string) (job.Job, error) {
	id, err := parseJobID(idText)
	if err != nil {
		return job.Job{}, err
	}
	j, err := s.deps.Reader.Job(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && j.Order.Client != client:
		return job.Job{}, jobNotFound(id)
	case err != nil:
		return job.Job{}, fmt.Errorf("reading job %s: %w", id, err)
	}
	return j, nil
}

// whole is a job with its result.
func (s *jobServer) whole(ctx context.Context, j job.Job) (*coordinatorv1.Job, error) {
	if j.Completion == nil {
		return jobMessage(j, ""), nil
	}
	result, err := s.deps.Reader.Result(ctx, j.ID)
	if errors.Is(err, store.ErrNotFound) && j.Phase == job.Done { // its time was over, and it was deleted
		return jobMessage(j, ""), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the result of job %s: %w", j.ID, err)
	}
	return jobMessage(j, result), nil
}
