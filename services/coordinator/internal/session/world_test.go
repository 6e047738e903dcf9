package session_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/session"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/rpc"
)

const chain = "test-chain"

var (
	operatorKey = ed25519.NewKeyFromSeed(make([]byte, 32))
	minerKey    = ed25519.NewKeyFromSeed(append(make([]byte, 31), 1))
	minerID     = aitbc.AccountOf(minerKey.Public().(ed25519.PublicKey))
	jobID       = aitbc.JobID{1}
	leaseID     = jobID.LeaseID(1)
)

// fakeDispatcher notes what it is told and answers what the test says.
type fakeDispatcher struct {
	mu       sync.Mutex
	calls    []string
	sessions []dispatch.Registration
	gone     []uint64
	states   []dispatch.MinerState
	stakes   []standing
	result   dispatch.Result
	answer   job.Job
	refusal  error
	stateErr error
	held     chan struct{} // while it is not nil, MinerConnected waits for its end
	faulty   bool          // its methods panic
}

func (d *fakeDispatcher) note(call string) (job.Job, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faulty {
		panic("a fault of ours")
	}
	d.calls = append(d.calls, call)
	return d.answer, d.refusal
}

func (d *fakeDispatcher) MinerConnected(r dispatch.Registration) uint64 {
	if d.held != nil {
		<-d.held
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions = append(d.sessions, r)
	return uint64(len(d.sessions))
}

// standing is what dispatch was told of a stake.
type standing struct {
	stake  aitbc.Amount
	enough bool
}

func (d *fakeDispatcher) MinerStake(_ aitbc.AccountID, _ uint64, stake aitbc.Amount, enough bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stakes = append(d.stakes, standing{stake, enough})
}

func (d *fakeDispatcher) MinerState(_ context.Context, _ aitbc.AccountID, _ uint64, s dispatch.MinerState) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faulty {
		panic("a fault of ours")
	}
	d.states = append(d.states, s)
	return d.stateErr
}

func (d *fakeDispatcher) MinerGone(_ context.Context, _ aitbc.AccountID, number uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = append(d.gone, number)
	return nil
}

func (d *fakeDispatcher) StartAttempt(context.Context, aitbc.AccountID, aitbc.JobID, uint32) (job.Job, error) {
	return d.note("start")
}

func (d *fakeDispatcher) Fail(_ context.Context, _ aitbc.AccountID, _ aitbc.JobID, _ uint32, why job.Failure) (job.Job, error) {
	return d.note("fail " + why.Reason.String() + " " + why.Message)
}

func (d *fakeDispatcher) Complete(_ context.Context, _ aitbc.AccountID, r dispatch.Result) (job.Job, error) {
	d.mu.Lock()
	d.result = r
	d.mu.Unlock()
	return d.note("complete")
}

func (d *fakeDispatcher) Chunk(_ aitbc.AccountID, id aitbc.JobID, attempt uint32, offset int64, text string) {
	_, _ = d.note(fmt.Sprintf("chunk %s %d %q", id.LeaseID(attempt), offset, text))
}

func (d *fakeDispatcher) Progress(_ context.Context, _ aitbc.AccountID, p dispatch.Progress) error {
	_, err := d.note(fmt.Sprintf("progress %s %d %q", p.JobID.LeaseID(p.Attempt), p.TextBytes, p.Ending))
	return err
}

func (d *fakeDispatcher) ExplainMiner(id aitbc.AccountID) (dispatch.MinerExplanation, error) {
	return dispatch.MinerExplanation{Miner: dispatch.MinerView{ID: id}}, nil
}

func (d *fakeDispatcher) Claim(context.Context, aitbc.AccountID, dispatch.Claim) (job.Job, error) {
	return d.note("claim")
}

// link gives the way to the miner of the last session.
func (d *fakeDispatcher) link() dispatch.Link {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sessions[len(d.sessions)-1].Link
}

type fakeLedger struct {
	mu    sync.Mutex
	key   ed25519.PublicKey
	stake aitbc.Amount
	err   error
}

// says sets what the ledger says of the miner from now on.
func (l *fakeLedger) says(stake aitbc.Amount, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stake, l.err = stake, err
}

func (l *fakeLedger) Miner(context.Context, aitbc.AccountID) (ed25519.PublicKey, aitbc.Amount, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.key, l.stake, l.err
}

func (*fakeLedger) PaysRunning() bool { return true }

func (*fakeLedger) MinStake() (aitbc.Amount, error) { return 10, nil }

type anyone struct{}

func (anyone) Authorize(ctx context.Context, _ string) (context.Context, error) { return ctx, nil }

// world is the service on a real server.
type world struct {
	t          *testing.T
	dispatcher *fakeDispatcher
	ledger     *fakeLedger
	config     session.Config
	server     *rpc.Server
	conn       *rpc.LocalConn
	stop       func()
}

// serve starts the server; its end is the test's business.
func serve(t *testing.T, listener net.Listener, options rpc.Options, change func(*session.Config)) *world {
	t.Helper()
	w := &world{
		t: t, dispatcher: &fakeDispatcher{}, config: session.DefaultConfig(),
		ledger: &fakeLedger{key: minerKey.Public().(ed25519.PublicKey), stake: 10},
	}
	if change != nil {
		change(&w.config)
	}
	log := slog.New(slog.DiscardHandler)
	options.Logger, options.Authorizer = log, anyone{}
	var err error
	w.server, err = rpc.NewServer(listener, options)
	require.NoError(t, err)
	service, err := session.New(w.config, session.Deps{
		Dispatcher: w.dispatcher, Ledger: w.ledger, ChainID: chain, OperatorKey: operatorKey.Public().(ed25519.PublicKey),
		Stopping: w.server.Stopping(), Log: log,
	})
	require.NoError(t, err)
	coordinatorv1.RegisterSessionServiceServer(w.server, service)
	w.conn, err = w.server.Conn()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.server.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
		service.Wait()
		require.NoError(t, w.conn.Close())
	})
	return w
}

// inWorld runs a test in a bubble: time passes only while everything waits.
func inWorld(t *testing.T, change func(*session.Config), test func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := serve(t, nil, rpc.Options{}, change)
		defer func() { w.stop() }()
		test(t, w)
	})
}

// client is a miner's end of a stream.
type client struct {
	coordinatorv1.SessionService_ConnectClient
	t *testing.T
}

func (w *world) dial() *client {
	w.t.Helper()
	return dial(w.t, w.conn)
}

func dial(t *testing.T, conn grpc.ClientConnInterface) *client {
	t.Helper()
	st, err := coordinatorv1.NewSessionServiceClient(conn).Connect(t.Context())
	require.NoError(t, err)
	return &client{st, t}
}

func (c *client) send(frame *coordinatorv1.ConnectRequest) {
	c.t.Helper()
	require.NoError(c.t, c.Send(frame))
}

func (c *client) hello() {
	c.t.Helper()
	c.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_Hello{Hello: &coordinatorv1.MinerHello{
		MinerId: minerID.String(), Protocol: 1, Software: "test",
	}}})
}

// prove answers the challenge; edit changes what is signed.
func (c *client) prove(binding []byte, edit func(*aitbc.SessionChallenge)) {
	c.t.Helper()
	frame, err := c.Recv()
	require.NoError(c.t, err)
	challenge := frame.GetChallenge()
	operator := ed25519.PublicKey(challenge.GetOperatorPublicKey())
	require.Equal(c.t, aitbc.AccountOf(operator).String(), challenge.GetOperatorId())
	signed := aitbc.SessionChallenge{
		ChainID: challenge.GetChainId(), Operator: aitbc.AccountOf(operator), Miner: minerID,
		Challenge: [32]byte(challenge.GetChallenge()), ChannelBinding: binding,
	}
	if edit != nil {
		edit(&signed)
	}
	c.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_Authentication{Authentication: &coordinatorv1.MinerAuthentication{
		PublicKey: minerKey.Public().(ed25519.PublicKey), Signature: aitbc.Sign(minerKey, signed.SigningBytes()),
	}}})
}

// welcomed gives an open session.
func (w *world) welcomed() *client {
	w.t.Helper()
	c := w.dial()
	c.hello()
	c.prove([]byte(aitbc.PlaintextBinding), nil)
	frame, err := c.Recv()
	require.NoError(w.t, err)
	require.NotEmpty(w.t, frame.GetWelcome().GetSessionId())
	require.Equal(w.t, w.config.Heartbeat, frame.GetWelcome().GetHeartbeatInterval().AsDuration())
	synctest.Wait()
	return c
}

// ends requires that the stream ends with this reason.
func (c *client) ends(want coordinatorv1.ErrorReason) {
	c.t.Helper()
	for {
		_, err := c.Recv()
		if err == nil {
			continue
		}
		e, ok := apierr.FromStatus(status.Convert(err))
		require.True(c.t, ok, "%v", err)
		require.Equal(c.t, want, e.Reason, e.Message)
		return
	}
}

// passed gives how long f took in the bubble.
func passed(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

func (d *fakeDispatcher) told() []string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

func state(edits ...func(*coordinatorv1.MinerState)) *coordinatorv1.ConnectRequest {
	s := &coordinatorv1.MinerState{Slots: 2, Engine: "ollama/0.17.4", Models: []*coordinatorv1.MinerModel{{Name: "tiny:latest"}}}
	for _, edit := range edits {
		edit(s)
	}
	return &coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_State{State: s}}
}
