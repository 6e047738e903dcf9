package openai

import (
	"context"
	"strings"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

const phaseSettling = "settling"

// listening follows one job until its result is durable, or it is clear that there will be none.
type listening struct {
	handler *Handler
	id      string
	created int64
	watch   coordinatorv1.JobService_WatchJobClient
	// said is the text that came since the last reset.
	said strings.Builder
	// ended says that the job needs nothing any more.
	ended bool
}

func (l *listening) open(ctx context.Context) (err error) {
	l.watch, err = l.handler.jobs.WatchJob(ctx, &coordinatorv1.WatchJobRequest{JobId: l.id})
	return err
}

// leave cancels a job whose caller has gone before its answer and cannot come back for it.
func (l *listening) leave(ctx context.Context, forGood bool) {
	if l.ended || !forGood {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer cancel()
	// When its result has come meanwhile, it is settled like any other.
	_, _ = l.handler.jobs.CancelJob(ctx, &coordinatorv1.CancelJobRequest{JobId: l.id})
}

// wait gives the job with its result.
func (l *listening) wait(ctx context.Context) (*coordinatorv1.Job, error) {
	for {
		heard, err := l.next(ctx)
		if err != nil || heard.job != nil {
			return heard.job, err
		}
	}
}

// heard is what there is to know: the text goes on, or begins anew, or the job has its result.
type heard struct {
	text  string
	reset bool
	job   *coordinatorv1.Job
}

// next waits for one thing to know. Errors: gRPC statuses; the job's own failure.
func (l *listening) next(ctx context.Context) (heard, error) {
	for {
		event, err := l.watch.Recv()
		if err != nil {
			return heard{}, err
		}
		switch {
		case event.GetText() != nil:
			l.said.WriteString(event.GetText().GetText())
			return heard{text: event.GetText().GetText()}, nil
		case event.GetAttemptReset() != nil:
			l.said.Reset()
			return heard{reset: true}, nil
		case event.GetDone() != nil:
			job, err := l.end(event.GetDone())
			return heard{job: job}, err
		case event.GetState().GetPhase() == phaseSettling:
			// A result is durable now, or a failure certain: nobody waits for the ledger.
			job, err := l.read(ctx)
			if err != nil || job != nil {
				return heard{job: job}, err
			}
		}
	}
}

// read reads the job as it is now; nil: there is neither a result nor a failure yet.
func (l *listening) read(ctx context.Context) (*coordinatorv1.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := l.handler.jobs.GetJob(ctx, &coordinatorv1.GetJobRequest{JobId: l.id})
	if err != nil {
		return nil, err
	}
	if job := answer.GetJob(); job.GetError() != nil || job.GetMetrics() != nil {
		return l.end(job)
	}
	return nil, nil
}

// end takes the job's end: its result, or why there is none.
func (l *listening) end(job *coordinatorv1.Job) (*coordinatorv1.Job, error) {
	l.ended = true
	if failure := job.GetError(); failure != nil {
		reason, ok := apierr.ParseWord(failure.GetReason())
		if !ok {
			reason = coordinatorv1.ErrorReason_ERROR_REASON_INTERNAL
		}
		return nil, apierr.New(reason, "%s", failure.GetMessage()).With("job_id", l.id)
	}
	return job, nil
}

// rest gives what of the result has not been said. Errors: the result is not what was said.
func (l *listening) rest(result string) (string, error) {
	rest, ok := strings.CutPrefix(result, l.said.String())
	if !ok {
		return "", errAnotherAnswer()
	}
	return rest, nil
}

// errAnotherAnswer ends a stream whose beginning is void.
func errAnotherAnswer() error {
	return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_MINER_LOST,
		"the attempt that made the beginning of this answer has ended, and another one begins anew: what was sent is void; send the request again")
}
