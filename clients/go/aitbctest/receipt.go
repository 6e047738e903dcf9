package aitbctest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

const (
	chainID      = "aitbc-test-1"
	engine       = "ollama/0.17.4"
	blockHeight  = 12345
	promptTokens = 15
	outputTokens = 150
)

// party is an account and its key.
type party struct {
	account aitbc.AccountID
	public  ed25519.PublicKey
	private ed25519.PrivateKey
}

type parties struct{ client, operator, miner party }

func newParties() (parties, error) {
	var p parties
	for _, who := range []*party{&p.client, &p.operator, &p.miner} {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return p, err
		}
		*who = party{aitbc.AccountOf(public), public, private}
	}
	return p, nil
}

// receipt makes a job's receipt with everything signed.
func (p parties) receipt(id aitbc.JobID, req aitbc.SubmitRequest, answer Answer, limit aitbc.Amount, now time.Time) (*coordinatorv1.Receipt, error) {
	content, err := req.Content()
	if err != nil {
		return nil, err
	}
	payload := aitbc.Payload{Type: req.Type(), Model: req.Model, Prompt: content, Options: req.Options, ModelDigest: req.ModelDigest}
	payloadHash, err := payload.Hash()
	if err != nil {
		return nil, err
	}
	salt := aitbc.Salt(aitbc.ResultHash(id[:]))
	resultHash := aitbc.ResultHash([]byte(answer.Text))
	digest := aitbc.ResultHash([]byte(req.Model))
	order := aitbc.Order{
		ChainID: chainID, Client: p.client.account, Operator: p.operator.account, JobID: id,
		PayloadCommitment: aitbc.Commitment(salt, payloadHash), Price: price, MaxPrice: limit,
		ExecutionLimitUS: executionLimit.Microseconds(), SettleByUS: now.Add(2 * time.Hour).UnixMicro(),
		ExpiresUS: now.Add(10 * time.Minute).UnixMicro(),
	}
	lease := aitbc.Lease{
		ChainID: chainID, OrderHash: order.Hash(), JobID: id, Attempt: 1, Operator: p.operator.account,
		Miner: p.miner.account, Model: req.Model, ModelDigest: digest, IssuedUS: now.UnixMicro(),
	}
	statement := aitbc.Statement{
		ChainID: chainID, JobID: id, Attempt: 1, LeaseHash: lease.Hash(), ResultCommitment: aitbc.Commitment(salt, resultHash),
		Model: req.Model, ModelDigest: digest, ComputeUS: answer.ComputeTime.Microseconds(),
		PromptTokens: promptTokens, OutputTokens: outputTokens, Engine: engine,
	}
	metered := min(answer.ComputeTime, executionLimit)
	acceptance := aitbc.Acceptance{ChainID: chainID, JobID: id, StatementHash: statement.Hash(), MeteredUS: metered.Microseconds()}
	paid := aitbc.Price(metered, price, limit)
	return &coordinatorv1.Receipt{
		ReceiptId: id.ReceiptID(), JobId: id.String(), Client: p.client.account.String(), Miner: p.miner.account.String(),
		Operator: p.operator.account.String(), AmountPaid: paid.String(), AmountRefunded: (limit - paid).String(),
		ResultHash: resultHash.String(), BlockHeight: blockHeight, Timestamp: timestamppb.New(now.Add(answer.TotalTime)),
		TxHash: hashText("receipt " + id.String()), Attempt: 1, Model: req.Model, ModelDigest: digest.String(),
		Meter: &coordinatorv1.ReceiptMeter{
			MeteredTime: metered.Seconds(), ComputeTime: answer.ComputeTime.Seconds(), OperatorTime: answer.TotalTime.Seconds(),
			ExecutionLimit: executionLimit.Seconds(), PricePerSecond: price.String(), MaxPrice: limit.String(),
			PromptTokens: promptTokens, OutputTokens: outputTokens,
		},
		Evidence: p.evidence(order, lease, statement, acceptance, salt),
	}, nil
}

func (p parties) evidence(o aitbc.Order, l aitbc.Lease, s aitbc.Statement, a aitbc.Acceptance, salt aitbc.Salt) *coordinatorv1.ReceiptEvidence {
	return &coordinatorv1.ReceiptEvidence{
		OrderBody: o.SigningBytes(), OrderSignature: aitbc.Sign(p.client.private, o.SigningBytes()),
		LeaseBody: l.SigningBytes(), LeaseSignature: aitbc.Sign(p.operator.private, l.SigningBytes()),
		StatementBody: s.SigningBytes(), StatementSignature: aitbc.Sign(p.miner.private, s.SigningBytes()),
		AcceptanceBody: a.SigningBytes(), AcceptanceSignature: aitbc.Sign(p.operator.private, a.SigningBytes()),
		Salt: salt[:], OperatorPublicKey: p.operator.public, MinerPublicKey: p.miner.public, ClientPublicKey: p.client.public,
	}
}

type receiptService struct {
	coordinatorv1.UnimplementedReceiptServiceServer
	book *book
}

// GetReceipt gives the receipt of a completed job.
func (s receiptService) GetReceipt(_ context.Context, req *coordinatorv1.GetReceiptRequest) (*coordinatorv1.GetReceiptResponse, error) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	id, err := aitbc.ParseReceiptID(req.GetReceiptId())
	if e := s.book.jobs[id.String()]; err == nil && e != nil && e.job.GetReceiptId() != "" {
		return &coordinatorv1.GetReceiptResponse{Receipt: proto.CloneOf(e.receipt)}, nil
	}
	return nil, refusal(aitbc.ReasonReceiptNotFound, codes.NotFound, "no receipt "+req.GetReceiptId())
}
