package session

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/internal/rpc"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
)

const (
	protocol = 1

	// maxFrame bounds a received frame: a lease with its prompt fits several times.
	maxFrame = 4 << 20

	// A dead coordinator is noticed after the sum of the two: only the miner sends regularly.
	pingInterval = 10 * time.Second
	pingTimeout  = 5 * time.Second

	// exporterLabel and bindingBytes are the channel binding of RFC 9266, tls-exporter.
	exporterLabel = "EXPORTER-Channel-Binding"
	bindingBytes  = 32
)

type stream = grpc.BidiStreamingClient[coordinatorv1.ConnectRequest, coordinatorv1.ConnectResponse]

var (
	errHandshake = errors.New("the coordinator did not welcome us in time")
	errProtocol  = errors.New("the coordinator broke the protocol")
	errUnwanted  = errors.New("not whom the owner wants to work for")
	errReplaced  = errors.New("another process uses this miner's key: give each miner a key of its own")
	errLeaving   = errors.New("the miner leaves")
)

// connect holds one session from dialling to its end, which always has an error. talked says for how
// long it was open.
func (s *Session) connect(leaving context.Context, address string) (talked time.Duration, err error) {
	conn, err := s.dial(address)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// An open session outlives leaving for its last words.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(leaving))
	defer cancel(nil)
	unhook := context.AfterFunc(leaving, func() { cancel(errLeaving) })
	defer unhook()
	late := time.AfterFunc(s.config.HandshakeTimeout, func() { cancel(errHandshake) })
	defer late.Stop()

	st, err := coordinatorv1.NewSessionServiceClient(conn).Connect(ctx)
	if err != nil {
		return 0, orCause(ctx, fmt.Errorf("connect: %w", err))
	}
	op, welcome, err := s.shakeHands(st, address)
	if err != nil {
		return 0, orCause(ctx, err)
	}
	if !late.Stop() {
		return 0, errHandshake
	}
	unhook()
	began := time.Now()
	t := newTalk(s.worker, st, op, welcome, s.log.With(obs.KeySessionID, welcome.GetSessionId()))
	s.note(address, t, nil)
	t.log.Info("session opened", obs.KeyAddr, address, "operator", op.ID, "chain_id", op.ChainID)
	err = t.hold(ctx, cancel, leaving.Done())
	return time.Since(began), explained(err)
}

// explained says what an end of the stream means that its words do not.
func explained(err error) error {
	e, ok := apierr.FromStatus(status.Convert(err))
	if ok && e.Reason == coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE { // a newer session has taken its place
		return fmt.Errorf("%w: %w", errReplaced, err)
	}
	return err
}

// orCause prefers our own reason for ending over the library's word for it.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (s *Session) dial(address string) (*grpc.ClientConn, error) {
	security := credentials.NewTLS(s.config.TLS)
	if s.config.plaintext(address) {
		security = insecure.NewCredentials()
	}
	options := append(rpc.DialOptions(maxFrame),
		grpc.WithTransportCredentials(security),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingInterval, Timeout: pingTimeout}),
		grpc.WithDisableServiceConfig())
	dial := s.config.Dial
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}
	}
	// A fresh connection for each attempt: the backoff is ours, not the library's.
	conn, err := grpc.NewClient("passthrough:///"+address, append(options, grpc.WithContextDialer(dial))...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	return conn, nil
}

// shakeHands proves our key and learns who the operator is.
func (s *Session) shakeHands(st stream, address string) (attempt.Operator, *coordinatorv1.SessionWelcome, error) {
	fail := func(doing string, err error) (attempt.Operator, *coordinatorv1.SessionWelcome, error) {
		return attempt.Operator{}, nil, fmt.Errorf("%s: %w", doing, err)
	}
	hello := &coordinatorv1.MinerHello{MinerId: s.self.String(), Protocol: protocol, Software: s.config.Software, WantsExplanation: true}
	if err := send(st, &coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_Hello{Hello: hello}}); err != nil {
		return fail("say hello", err)
	}
	frame, err := st.Recv()
	if err != nil {
		return fail("get the challenge", err)
	}
	challenge := frame.GetChallenge()
	op, err := s.readChallenge(challenge)
	if err != nil {
		return fail("read the challenge", err)
	}
	binding, err := s.channelBinding(st, address)
	if err != nil {
		return fail("bind the channel", err)
	}
	body := aitbc.SessionChallenge{
		ChainID: op.ChainID, Operator: op.ID, Miner: s.self,
		Challenge: [32]byte(challenge.GetChallenge()), ChannelBinding: binding,
	}.SigningBytes()
	proof := &coordinatorv1.MinerAuthentication{
		PublicKey: s.config.Key.Public().(ed25519.PublicKey), Signature: aitbc.Sign(s.config.Key, body),
	}
	if err := send(st, &coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_Authentication{Authentication: proof}}); err != nil {
		return fail("prove our key", err)
	}
	if frame, err = st.Recv(); err != nil {
		return fail("get the welcome", err)
	}
	if frame.GetWelcome() == nil {
		return fail("get the welcome", errProtocol)
	}
	return op, frame.GetWelcome(), nil
}

// send sends a frame. The library answers io.EOF when the stream has ended; the reason comes by Recv.
func send(st stream, frame *coordinatorv1.ConnectRequest) error {
	err := st.Send(frame)
	if errors.Is(err, io.EOF) {
		_, err = st.Recv()
	}
	return err
}

// readChallenge learns the operator and holds it against what the owner wants.
func (s *Session) readChallenge(c *coordinatorv1.SessionChallenge) (attempt.Operator, error) {
	if len(c.GetChallenge()) != 32 || len(c.GetOperatorPublicKey()) != ed25519.PublicKeySize || c.GetChainId() == "" {
		return attempt.Operator{}, fmt.Errorf("%w: incomplete", errProtocol)
	}
	op := attempt.Operator{ChainID: c.GetChainId(), Key: c.GetOperatorPublicKey()}
	var err error
	if op.ID, err = aitbc.ParseAccountID(c.GetOperatorId()); err != nil {
		return attempt.Operator{}, fmt.Errorf("%w: %w", errProtocol, err)
	}
	switch {
	case aitbc.AccountOf(op.Key) != op.ID:
		return attempt.Operator{}, fmt.Errorf("%w: the key is not that of %s", errProtocol, op.ID)
	case s.config.ChainID != "" && op.ChainID != s.config.ChainID:
		return attempt.Operator{}, fmt.Errorf("chain %s: %w", op.ChainID, errUnwanted)
	case len(s.config.Operators) > 0 && !slices.Contains(s.config.Operators, op.ID):
		return attempt.Operator{}, fmt.Errorf("operator %s: %w", op.ID, errUnwanted)
	}
	return op, nil
}

// channelBinding gives what only the two ends of this channel know.
func (s *Session) channelBinding(st stream, address string) ([]byte, error) {
	if s.config.plaintext(address) {
		return []byte(aitbc.PlaintextBinding), nil
	}
	p, ok := peer.FromContext(st.Context())
	if !ok {
		return nil, fmt.Errorf("%w: no peer", errProtocol)
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil, fmt.Errorf("%w: no TLS", errProtocol)
	}
	binding, err := info.State.ExportKeyingMaterial(exporterLabel, nil, bindingBytes)
	if err != nil {
		return nil, fmt.Errorf("export keying material: %w", err)
	}
	return binding, nil
}
