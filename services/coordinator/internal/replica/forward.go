package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// answers are the calls about one job that only the replica which has it can answer, with what they
// answer. All others any replica answers from the store.
func answers() map[string]func() proto.Message {
	return map[string]func() proto.Message{
		coordinatorv1.JobService_CancelJob_FullMethodName:     func() proto.Message { return &coordinatorv1.CancelJobResponse{} },
		coordinatorv1.JobService_ExplainJob_FullMethodName:    func() proto.Message { return &coordinatorv1.ExplainJobResponse{} },
		coordinatorv1.LeaseService_StartJob_FullMethodName:    func() proto.Message { return &coordinatorv1.StartJobResponse{} },
		coordinatorv1.LeaseService_CompleteJob_FullMethodName: func() proto.Message { return &coordinatorv1.CompleteJobResponse{} },
	}
}

// patience is how often a call is tried where its job is, while jobs change hands: as long as it takes
// to find out that a replica is dead, and to take over from it.
const (
	patience = 10 * time.Second
	pause    = 250 * time.Millisecond
)

// Unary passes a call on to the replica that has its job or its miner.
func (m *Member) Unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if explain, ok := request.(*coordinatorv1.ExplainMinerRequest); ok {
		return m.explainMiner(ctx, explain, handler)
	}
	answer := m.answers[info.FullMethod]
	id, named := jobOf(request)
	if answer == nil || !named || m.Alone() {
		return handler(ctx, request)
	}
	var response any
	err := m.where(ctx, id, func(p *peer) (err error) {
		if p == nil && info.FullMethod == coordinatorv1.JobService_ExplainJob_FullMethodName {
			p = m.remembers(ctx, id)
		}
		if p == nil {
			response, err = handler(ctx, request)
			return err
		}
		message := answer()
		response = message
		return m.pass(ctx, p, info.FullMethod, request, message)
	})
	return response, err
}

// remembers gives the replica that had a job when that ended, and so remembers how its miners were chosen;
// nil: this one, or it is gone with what it remembered.
func (m *Member) remembers(ctx context.Context, id aitbc.JobID) *peer {
	if auth.FromReplica(ctx) {
		return nil
	}
	j, err := m.deps.Store.Job(ctx, id)
	if err != nil {
		return nil // the handler says what is wrong
	}
	p, _ := m.holder(j.Shard)
	return p
}

// explainMiner answers where the miner has its session.
func (m *Member) explainMiner(ctx context.Context, request *coordinatorv1.ExplainMinerRequest, handler grpc.UnaryHandler) (any, error) {
	here, err := handler(ctx, request)
	if err == nil || auth.FromReplica(ctx) || apierr.From(ctx, err).Reason != coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND {
		return here, err
	}
	p := m.minerAt(request.GetMinerId())
	if p == nil {
		return here, err
	}
	there := &coordinatorv1.ExplainMinerResponse{}
	return there, m.pass(ctx, p, coordinatorv1.NetworkService_ExplainMiner_FullMethodName, request, there)
}

// minerAt gives the other replica that a miner is connected to; nil: none.
func (m *Member) minerAt(id string) *peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	for replica, views := range m.miners {
		if slices.ContainsFunc(views, func(v dispatch.MinerView) bool { return v.ID.String() == id }) {
			return m.peers[replica]
		}
	}
	return nil
}

// jobOf gives the job that a request is about.
func jobOf(request any) (aitbc.JobID, bool) {
	about, ok := request.(interface{ GetJobId() string })
	if !ok {
		return aitbc.JobID{}, false
	}
	id, err := aitbc.ParseJobID(about.GetJobId())
	return id, err == nil // the handler says what is wrong with it
}

// where has a call made where a job is: at a peer, or, for nil, here. It makes it again when it came to
// the wrong place or to a dead end. A call from another replica is made here only.
func (m *Member) where(ctx context.Context, id aitbc.JobID, call func(*peer) error) error {
	if auth.FromReplica(ctx) {
		return call(nil)
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		p, err := m.find(ctx, id)
		if err == nil {
			err = call(p)
		}
		if !isElsewhere(err, p != nil) || ctx.Err() != nil {
			return err
		}
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-patient.Done():
			again.Stop()
			return err
		}
	}
}

// find gives the replica that has a job; nil: this one, or nobody, since it is done or there is none.
// Errors: dispatch.ErrElsewhere, when its replica has died and no other has taken over yet.
func (m *Member) find(ctx context.Context, id aitbc.JobID) (*peer, error) {
	shards, err := m.deps.Store.Shards(ctx, []aitbc.JobID{id})
	if err != nil {
		return nil, err
	}
	shard, live := shards[id]
	if !live {
		return nil, nil
	}
	p, elsewhere := m.holder(shard)
	if elsewhere && p == nil {
		return nil, fmt.Errorf("find job %s: %w", id, dispatch.ErrElsewhere)
	}
	return p, nil
}

// pass makes a call at another replica, for whoever makes it here.
func (m *Member) pass(ctx context.Context, p *peer, method string, request any, response proto.Message) error {
	ctx, err := m.withToken(ctx, p.ID)
	if err != nil {
		return err
	}
	return fromPeer(p.conn.Invoke(ctx, method, request, response))
}

// fromPeer gives a peer's error as one of ours; one of the way to it is ErrElsewhere: the job is about
// to come to another replica.
func fromPeer(err error) error {
	if err == nil {
		return nil
	}
	answer := status.Convert(err)
	if e, ok := apierr.FromStatus(answer); ok {
		return e
	}
	if answer.Code() == codes.Unavailable {
		return fmt.Errorf("%s: %w", answer.Message(), dispatch.ErrElsewhere)
	}
	return err
}

// isElsewhere reports whether a call came to a place that does not have its job, or to a dead end. A
// peer says so by the reason of an overload; here that is what it is.
func isElsewhere(err error, atPeer bool) bool {
	var e *apierr.Error
	return errors.Is(err, dispatch.ErrElsewhere) ||
		atPeer && errors.As(err, &e) && e.Reason == coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED
}

// Stream passes a watching on to the replica that has the job, and on again when that changes.
func (m *Member) Stream(srv any, st grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if info.FullMethod != coordinatorv1.JobService_WatchJob_FullMethodName || auth.FromReplica(st.Context()) {
		return handler(srv, st)
	}
	request := &coordinatorv1.WatchJobRequest{}
	if err := st.RecvMsg(request); err != nil {
		return err
	}
	id, named := jobOf(request)
	if !named || m.Alone() {
		return handler(srv, &begun{ServerStream: st, request: request})
	}
	watched := &begun{ServerStream: st, request: request}
	return m.where(st.Context(), id, func(p *peer) error {
		if p == nil {
			return handler(srv, watched)
		}
		return m.relay(p, watched)
	})
}

// begun is a watching whose request has been read. It notes how far the watcher is, so that the
// watching can go on elsewhere.
type begun struct {
	grpc.ServerStream
	request *coordinatorv1.WatchJobRequest
}

// RecvMsg implements grpc.ServerStream: it gives the request, each time that it is asked.
func (b *begun) RecvMsg(message any) error {
	to, ok := message.(*coordinatorv1.WatchJobRequest)
	if !ok {
		return io.EOF
	}
	proto.Reset(to)
	proto.Merge(to, b.request)
	return nil
}

// SendMsg implements grpc.ServerStream.
func (b *begun) SendMsg(message any) error {
	if err := b.ServerStream.SendMsg(message); err != nil {
		return err
	}
	if event, ok := message.(*coordinatorv1.WatchJobResponse); ok {
		b.request.AfterEventId = event.GetEventId()
	}
	return nil
}

// relay watches at a peer.
func (m *Member) relay(p *peer, to *begun) error {
	ctx, cancel := context.WithCancel(to.Context())
	defer cancel() // ends the call at the peer, however this one ends
	ctx, err := m.withToken(ctx, p.ID)
	if err != nil {
		return err
	}
	from, err := coordinatorv1.NewJobServiceClient(p.conn).WatchJob(ctx, to.request)
	if err != nil {
		return fromPeer(err)
	}
	for {
		event, err := from.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fromPeer(err)
		}
		if err := to.SendMsg(event); err != nil {
			return err
		}
	}
}
