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

// link queues frames for one miner. Its methods never block. An idle one holds no room for frames and no
// goroutine: there are thousands of them.
type link struct {
	end  context.CancelCauseFunc
	send func(*coordinatorv1.ConnectResponse) error
	// start runs the sender.
	start func(sender func())
	// limit is how many frames may wait.
	limit int

	mu      sync.Mutex
	state   linkState
	waiting []*coordinatorv1.ConnectResponse
	// sent is closed when the sender has ended; nil: none runs.
	sent chan struct{}
}

type linkState int

const (
	// opening: frames wait, because the handshake still sends.
	opening linkState = iota
	open
	closed
)

// newLink gives a link which sends nothing before it is opened.
func newLink(limit int, send func(*coordinatorv1.ConnectResponse) error, end context.CancelCauseFunc, start func(func())) *link {
	return &link{end: end, send: send, start: start, limit: limit}
}

var _ dispatch.Link = (*link)(nil)

// open lets frames be sent.
func (l *link) open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = open
	l.wake()
}

// close drops what waits and what is still to come. The channel is closed when nothing is being sent any more.
func (l *link) close() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.waiting = closed, nil
	if l.sent == nil {
		none := make(chan struct{})
		close(none)
		return none
	}
	return l.sent
}

func (l *link) put(frame *coordinatorv1.ConnectResponse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == closed {
		return
	}
	if len(l.waiting) == l.limit {
		l.end(errSlow)
		return
	}
	l.waiting = append(l.waiting, frame)
	l.wake()
}

// wake starts the sender when it is needed.
func (l *link) wake() {
	if l.state == open && l.sent == nil && len(l.waiting) > 0 {
		l.sent = make(chan struct{})
		l.start(l.drain)
	}
}

// drain sends what waits.
func (l *link) drain() {
	for frame := l.next(); frame != nil; frame = l.next() {
		if err := l.send(frame); err != nil {
			l.end(err)
			l.close()
		}
	}
}

// next takes the frame that has waited longest; nil: none waits, and the sender has ended.
func (l *link) next() *coordinatorv1.ConnectResponse {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.waiting = nil
		close(l.sent)
		l.sent = nil
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
