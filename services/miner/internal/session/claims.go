package session

import (
	"context"
	"fmt"
	"sync"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// maxClaims is how many claims may wait for the sender.
const maxClaims = 16

// claims carries claims to the sender and answers back.
type claims struct {
	// queue is read by the sender, written by ask, never closed; it holds maxClaims.
	queue chan *coordinatorv1.JobClaim
	// over is closed when the session ends.
	over chan struct{}

	mu      sync.Mutex
	waiting map[string]chan *coordinatorv1.JobClaimAnswer // by job; each holds one answer
}

func newClaims() *claims {
	return &claims{
		queue:   make(chan *coordinatorv1.JobClaim, maxClaims),
		over:    make(chan struct{}),
		waiting: map[string]chan *coordinatorv1.JobClaimAnswer{},
	}
}

func (c *claims) ask(ctx context.Context, claim *coordinatorv1.JobClaim) (*coordinatorv1.JobClaimAnswer, error) {
	answers, err := c.expect(claim.GetJobId())
	if err != nil {
		return nil, err
	}
	defer c.forget(claim.GetJobId())
	select {
	case c.queue <- claim:
	default:
		return nil, ErrBusy
	}
	select {
	case answer := <-answers:
		return answer, nil
	case <-c.over:
		return nil, ErrNoSession
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the coordinator's answer: %w", context.Cause(ctx))
	}
}

// expect makes room for the answer. One claim for a job at a time: answers name the job only.
func (c *claims) expect(jobID string) (chan *coordinatorv1.JobClaimAnswer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[jobID] != nil {
		return nil, ErrBusy
	}
	answers := make(chan *coordinatorv1.JobClaimAnswer, 1)
	c.waiting[jobID] = answers
	return answers, nil
}

func (c *claims) forget(jobID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, jobID)
}

// answer hands an answer to who waits for it; a repeated one to nobody.
func (c *claims) answer(answer *coordinatorv1.JobClaimAnswer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case c.waiting[answer.GetJobId()] <- answer:
	default:
	}
}

func (c *claims) end() { close(c.over) }
