package session

import (
	"context"
	"strings"
	"sync"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/api"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// link queues frames for one miner. Its methods never block. An idle one holds no room for frames: there
// are thousands of them.
type link struct {
	end context.CancelCauseFunc
	// limit is how many frames may wait. There is a token in more while some may.
	limit int
	more  chan struct{}

	mu      sync.Mutex
	waiting []*coordinatorv1.ConnectResponse
}

func newLink(limit int, end context.CancelCauseFunc) *link {
	return &link{end: end, limit: limit, more: make(chan struct{}, 1)}
}

var _ dispatch.Link = (*link)(nil)

func (l *link) put(frame *coordinatorv1.ConnectResponse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == l.limit {
		l.end(errSlow)
		return
	}
	l.waiting = append(l.waiting, frame)
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// next takes the frame that has waited longest; nil: none waits.
func (l *link) next() *coordinatorv1.ConnectResponse {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.waiting = nil
		return nil
	}
	frame := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	return frame
}

// Lease implements dispatch.Link.
func (l *link) Lease(h dispatch.Handover) {
	l.put(&coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_Lease{Lease: api.LeaseMessage(h)}})
}

// Revoke implements dispatch.Link.
func (l *link) Revoke(leaseID string, reason coordinatorv1.ErrorReason, settle bool) {
	l.put(&coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_LeaseRevocation{LeaseRevocation: &coordinatorv1.LeaseRevocation{
		LeaseId: leaseID, Reason: word(reason), Settle: settle,
	}}})
}

// Text implements dispatch.Link.
func (l *link) Text(leaseID string, from int64) {
	l.put(&coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_ChunkRequest{ChunkRequest: &coordinatorv1.ChunkRequest{
		LeaseId: leaseID, FromOffset: from,
	}}})
}

// Pull implements dispatch.Link.
func (l *link) Pull(models []string) {
	l.put(&coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_PullRequest{PullRequest: &coordinatorv1.PullRequest{Models: models}}})
}

// End implements dispatch.Link.
func (l *link) End() { l.end(errReplaced) }

// accept tells the miner that its result is durable.
func (l *link) accept(leaseID string, c *job.Completion) {
	l.put(&coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_ResultAcceptance{ResultAcceptance: &coordinatorv1.ResultAcceptance{
		LeaseId: leaseID,
		Acceptance: &coordinatorv1.Acceptance{
			Body:      c.Acceptance().SigningBytes(),
			Signature: c.AcceptanceSignature,
			MeteredUs: c.MeteredUS,
		},
	}}})
}

func (l *link) explain(x *coordinatorv1.MinerExplanation) {
	l.put(&coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_Explanation{Explanation: x}})
}

func (l *link) answer(a *coordinatorv1.JobClaimAnswer) {
	l.put(&coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_JobClaimAnswer{JobClaimAnswer: a}})
}

const reasonPrefix = "ERROR_REASON_"

func word(reason coordinatorv1.ErrorReason) string {
	return strings.TrimPrefix(reason.String(), reasonPrefix)
}

// reasonOf reads a reason without its prefix; one that is unknown is unspecified.
func reasonOf(word string) coordinatorv1.ErrorReason {
	return coordinatorv1.ErrorReason(coordinatorv1.ErrorReason_value[reasonPrefix+word])
}
