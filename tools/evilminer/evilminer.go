// Package evilminer is a miner that does what it likes: it opens a session like any other, with a key that
// is registered and staked, and then sends whatever its caller makes up. tools/e2e holds the network to
// what docs/bad-miners.md says of each way to misbehave.
//
// It runs no engine. [Miner.Statement] makes what an honest miner would sign; a test bends it.
// Start at [Connect].
package evilminer

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Miner is an open session.
type Miner struct {
	key    ed25519.PrivateKey
	conn   *grpc.ClientConn
	stream grpc.BidiStreamingClient[coordinatorv1.ConnectRequest, coordinatorv1.ConnectResponse]
	// leases came while something else was waited for.
	leases []*coordinatorv1.Lease
}

// Forge bends what proves the key; nil: nothing is bent.
type Forge func(*aitbc.SessionChallenge)

// Connect opens a session at a coordinator on loopback and says that it has a model and one slot.
// Errors: the coordinator's.
func Connect(ctx context.Context, address string, key ed25519.PrivateKey, model string, forge Forge) (*Miner, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	m := &Miner{key: key, conn: conn}
	if err := m.open(ctx, forge); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := m.State(model); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return m, nil
}

// Knock opens a session's stream, says who it is and leaves the challenge unanswered. Errors: the
// coordinator's.
func Knock(ctx context.Context, address string, key ed25519.PrivateKey) (*Miner, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("knock: %w", err)
	}
	m := &Miner{key: key, conn: conn}
	if _, err := m.greet(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return m, nil
}

// greet says hello and takes the challenge.
func (m *Miner) greet(ctx context.Context) (proof aitbc.SessionChallenge, err error) {
	if m.stream, err = coordinatorv1.NewSessionServiceClient(m.conn).Connect(ctx); err != nil {
		return proof, fmt.Errorf("connect: %w", err)
	}
	account := aitbc.AccountOf(m.key.Public().(ed25519.PublicKey))
	hello := &coordinatorv1.MinerHello{MinerId: account.String(), Protocol: 1, Software: "evilminer"}
	if err := m.Send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_Hello{Hello: hello}}); err != nil {
		return proof, err
	}
	answer, err := m.stream.Recv()
	if err != nil {
		return proof, fmt.Errorf("await the challenge: %w", err)
	}
	challenge := answer.GetChallenge()
	operator, err := aitbc.ParseAccountID(challenge.GetOperatorId())
	if err != nil || len(challenge.GetChallenge()) != 32 {
		return proof, fmt.Errorf("no challenge: %v: %w", answer, err)
	}
	return aitbc.SessionChallenge{
		ChainID: challenge.GetChainId(), Operator: operator, Miner: account,
		Challenge: [32]byte(challenge.GetChallenge()), ChannelBinding: []byte(aitbc.PlaintextBinding),
	}, nil
}

func (m *Miner) open(ctx context.Context, forge Forge) error {
	proof, err := m.greet(ctx)
	if err != nil {
		return err
	}
	if forge != nil {
		forge(&proof)
	}
	authentication := &coordinatorv1.MinerAuthentication{
		PublicKey: m.key.Public().(ed25519.PublicKey), Signature: aitbc.Sign(m.key, proof.SigningBytes()),
	}
	if err := m.Send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_Authentication{Authentication: authentication}}); err != nil {
		return err
	}
	answer, err := m.stream.Recv()
	if err != nil {
		return fmt.Errorf("await the welcome: %w", err)
	}
	if answer.GetWelcome() == nil {
		return fmt.Errorf("no welcome: %v", answer)
	}
	return nil
}

// Close ends the session.
func (m *Miner) Close() error { return m.conn.Close() }

// Send sends a frame. Errors: the stream's; why it ended comes with the next frame.
func (m *Miner) Send(frame *coordinatorv1.ConnectRequest) error {
	if err := m.stream.Send(frame); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// State says what the miner has and runs.
func (m *Miner) State(model string, running ...string) error { return m.Offer(1, model, running...) }

// Offer is State with so many slots.
func (m *Miner) Offer(slots int32, model string, running ...string) error {
	return m.Send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_State{State: &coordinatorv1.MinerState{
		Slots: slots, Engine: "ollama/0.0.0", RunningLeaseIds: running,
		Models: []*coordinatorv1.MinerModel{{Name: model, Digest: hex.EncodeToString(make([]byte, 31)) + "01", Warm: true}},
	}}})
}

// Receive takes the coordinator's next frame. Errors: the stream's.
func (m *Miner) Receive() (*coordinatorv1.ConnectResponse, error) {
	frame, err := m.stream.Recv()
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	return frame, nil
}

// Next takes the coordinator's next frame; a lease is also kept for [Miner.Lease]. Errors: the stream's.
func (m *Miner) Next() (*coordinatorv1.ConnectResponse, error) {
	frame, err := m.Receive()
	if err != nil {
		return nil, err
	}
	if frame.GetLease() != nil {
		m.leases = append(m.leases, frame.GetLease())
	}
	return frame, nil
}

// Lease takes the oldest lease that has come, or comes, and says that it runs. Errors: the stream's.
func (m *Miner) Lease(model string) (*coordinatorv1.Lease, error) {
	for len(m.leases) == 0 {
		if _, err := m.Next(); err != nil {
			return nil, err
		}
	}
	lease := m.leases[0]
	m.leases = m.leases[1:]
	start := &coordinatorv1.AttemptStart{LeaseId: lease.GetLeaseId()}
	if err := m.Send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptStart{AttemptStart: start}}); err != nil {
		return nil, err
	}
	return lease, m.State(model, lease.GetLeaseId())
}

// Statement is what an honest miner would sign about an answer. Errors: a lease that cannot be read.
func (m *Miner) Statement(lease *coordinatorv1.Lease, answer string) (aitbc.Statement, error) {
	l, err := aitbc.ParseLease(lease.GetBody())
	if err != nil {
		return aitbc.Statement{}, fmt.Errorf("read the lease: %w", err)
	}
	return aitbc.Statement{
		ChainID: l.ChainID, JobID: l.JobID, Attempt: l.Attempt, LeaseHash: l.Hash(),
		ResultCommitment: aitbc.Commitment(aitbc.Salt(lease.GetSalt()), aitbc.ResultHash([]byte(answer))),
		Model:            l.Model, ModelDigest: l.ModelDigest,
		ComputeUS: time.Millisecond.Microseconds(), PromptTokens: 1, OutputTokens: 1, Engine: "ollama/0.0.0",
	}, nil
}

// Result signs a statement and puts it into its frame.
func (m *Miner) Result(leaseID, answer string, s aitbc.Statement) *coordinatorv1.AttemptResult {
	return &coordinatorv1.AttemptResult{
		LeaseId: leaseID, Result: answer, Metrics: &coordinatorv1.JobMetrics{ComputeTime: 1, TokensGenerated: 1},
		StatementBody: s.SigningBytes(), StatementSignature: aitbc.Sign(m.key, s.SigningBytes()),
	}
}

// Progress sends the beginning of an answer and a running statement about it. Errors: the stream's.
func (m *Miner) Progress(leaseID, text string, s aitbc.Statement) error {
	chunk := &coordinatorv1.AttemptChunk{LeaseId: leaseID, Text: text}
	if err := m.Send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptChunk{AttemptChunk: chunk}}); err != nil {
		return err
	}
	s.Running = true
	progress := &coordinatorv1.AttemptProgress{
		LeaseId: leaseID, TextBytes: int64(len(text)), StatementBody: s.SigningBytes(), StatementSignature: aitbc.Sign(m.key, s.SigningBytes()),
	}
	return m.Send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptProgress{AttemptProgress: progress}})
}

// Tell sends a result.
func (m *Miner) Tell(r *coordinatorv1.AttemptResult) error {
	return m.Send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptResult{AttemptResult: r}})
}

// Verdict takes frames until one is about the lease's result: its acceptance, or why it was refused.
// Errors: the stream's.
func (m *Miner) Verdict(leaseID string) (accepted *coordinatorv1.Acceptance, refused string, err error) {
	for {
		frame, err := m.Next()
		switch {
		case err != nil:
			return nil, "", err
		case frame.GetResultAcceptance().GetLeaseId() == leaseID:
			return frame.GetResultAcceptance().GetAcceptance(), "", nil
		case frame.GetLeaseRevocation().GetLeaseId() == leaseID:
			return nil, frame.GetLeaseRevocation().GetReason(), nil
		}
	}
}
