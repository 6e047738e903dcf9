package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

const (
	// protocol is the version of the frames that this coordinator speaks.
	protocol = 1
	// exporterLabel and exporterLength make the channel binding "tls-exporter" of RFC 9266.
	exporterLabel  = "EXPORTER-Channel-Binding"
	exporterLength = 32
)

func invalid(field, format string, args ...any) error {
	return &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_INVALID_FIELD, Message: fmt.Sprintf(format, args...), Field: field}
}

func refuse(format string, args ...any) error {
	return job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_INVALID_KEY, format, args...)
}

// shakeHands takes a miner from hello to a proven key.
func (s *Service) shakeHands(ctx context.Context, st stream) (dispatch.Registration, *coordinatorv1.MinerHello, error) {
	frame, err := st.Recv()
	if err != nil {
		return dispatch.Registration{}, nil, left(err)
	}
	hello := frame.GetHello()
	id, err := readHello(hello)
	if err != nil {
		return dispatch.Registration{}, nil, err
	}
	challenge := aitbc.SessionChallenge{ChainID: s.deps.ChainID, Operator: aitbc.AccountOf(s.deps.OperatorKey), Miner: id}
	if _, err := rand.Read(challenge.Challenge[:]); err != nil {
		return dispatch.Registration{}, nil, fmt.Errorf("make a challenge: %w", err)
	}
	if challenge.ChannelBinding, err = channelBinding(st.Context()); err != nil {
		return dispatch.Registration{}, nil, err
	}
	err = st.Send(&coordinatorv1.ConnectResponse{Frame: &coordinatorv1.ConnectResponse_Challenge{Challenge: &coordinatorv1.SessionChallenge{
		ChainId:           challenge.ChainID,
		OperatorId:        challenge.Operator.String(),
		Challenge:         challenge.Challenge[:],
		OperatorPublicKey: s.deps.OperatorKey,
	}}})
	if err != nil {
		return dispatch.Registration{}, nil, fmt.Errorf("challenge miner %s: %w", id, err)
	}
	if frame, err = st.Recv(); err != nil {
		return dispatch.Registration{}, nil, left(err)
	}
	proof := frame.GetAuthentication()
	if proof == nil {
		return dispatch.Registration{}, nil, invalid("authentication", "the second frame must be the authentication")
	}
	registration, err := s.admit(ctx, challenge, proof)
	return registration, hello, err
}

// left is an error of the stream: that is over.
func left(err error) error { return fmt.Errorf("%w: %w", errLeft, err) }

func readHello(hello *coordinatorv1.MinerHello) (aitbc.AccountID, error) {
	if hello == nil {
		return aitbc.AccountID{}, invalid("hello", "the first frame must be the hello")
	}
	if hello.GetProtocol() != protocol {
		return aitbc.AccountID{}, invalid("hello.protocol", "is %d, this coordinator speaks %d", hello.GetProtocol(), protocol)
	}
	id, err := aitbc.ParseAccountID(hello.GetMinerId())
	if err != nil {
		return id, invalid("hello.miner_id", "must be the miner's account: %s", err)
	}
	return id, nil
}

// admit checks the miner's proof against what the ledger knows of it.
func (s *Service) admit(ctx context.Context, challenge aitbc.SessionChallenge, proof *coordinatorv1.MinerAuthentication) (dispatch.Registration, error) {
	id := challenge.Miner
	least, err := s.deps.Ledger.MinStake()
	if err != nil {
		return dispatch.Registration{}, err
	}
	key, stake, err := s.deps.Ledger.Miner(ctx, id)
	switch {
	case errors.Is(err, errUnknownMiner):
		return dispatch.Registration{}, refuse("the account %s is not registered as a miner: %s", id, err)
	case err != nil:
		return dispatch.Registration{}, fmt.Errorf("read miner %s: %w", id, err)
	case key == nil && aitbc.AccountOf(proof.GetPublicKey()) == id: // nothing but the account is known of it
		key = proof.GetPublicKey()
	}
	switch {
	case !bytes.Equal(key, proof.GetPublicKey()):
		return dispatch.Registration{}, refuse("the key is not the one that miner %s is registered with", id)
	case !aitbc.Verify(key, challenge.SigningBytes(), proof.GetSignature()):
		return dispatch.Registration{}, refuse("the signature does not prove miner %s's key for this operator over this channel", id)
	case stake < least:
		return dispatch.Registration{}, refuse("miner %s has a stake of %s, the least is %s", id, stake, least)
	}
	return dispatch.Registration{ID: id, Key: key, Stake: stake}, nil
}

var errUnknownMiner = &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND}

// channelBinding gives what both ends of this channel know and nobody else does. Without TLS there
// is no such thing, and the marker says so; where that is allowed the listener decides.
func channelBinding(ctx context.Context) ([]byte, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return []byte(aitbc.PlaintextBinding), nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return []byte(aitbc.PlaintextBinding), nil
	}
	binding, err := info.State.ExportKeyingMaterial(exporterLabel, nil, exporterLength)
	if err != nil {
		return nil, fmt.Errorf("bind the session to its channel: %w", err)
	}
	return binding, nil
}
