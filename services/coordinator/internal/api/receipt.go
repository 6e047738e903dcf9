package api

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

type receiptServer struct {
	coordinatorv1.UnimplementedReceiptServiceServer
	deps Deps
}

// GetReceipt implements ReceiptService.
func (s *receiptServer) GetReceipt(ctx context.Context, r *coordinatorv1.GetReceiptRequest) (*coordinatorv1.GetReceiptResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	id, err := aitbc.ParseReceiptID(r.GetReceiptId())
	if err != nil {
		return nil, apierr.InvalidField("receipt_id", "must be `receipt_` and a lower-case ULID").WithCause(err)
	}
	j, err := s.deps.Reader.Job(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && !(hasReceipt(j) && isParty(j, who)):
		return nil, receiptNotFound(r.GetReceiptId())
	case err != nil:
		return nil, fmt.Errorf("reading the job of receipt %s: %w", r.GetReceiptId(), err)
	}
	minerKey, err := s.minerKey(ctx, j)
	if err != nil {
		return nil, err
	}
	clientKey, err := s.clientKey(ctx, j)
	if err != nil {
		return nil, err
	}
	receipt := receiptMessage(j)
	receipt.Evidence.OperatorPublicKey = s.deps.Operator
	receipt.Evidence.MinerPublicKey = minerKey
	if aitbc.AccountOf(clientKey) == j.Order.Client {
		receipt.Evidence.ClientPublicKey = clientKey
	} else { // nothing that a receipt has could show that a later key is the account's
		receipt.Evidence.OrderSignature = nil
	}
	return &coordinatorv1.GetReceiptResponse{Receipt: receipt}, nil
}

// minerKey is what checked the statement, whatever key the miner has had since. Jobs from before that
// was kept ask the ledger; nil for a miner that has left it: its receipts stay readable.
func (s *receiptServer) minerKey(ctx context.Context, j job.Job) (ed25519.PublicKey, error) {
	if len(j.Completion.MinerKey) > 0 {
		return j.Completion.MinerKey, nil
	}
	key, err := s.deps.Ledger.MinerKey(ctx, j.Miner)
	if err == nil {
		return key, nil
	}
	if apierr.From(ctx, err).Reason == coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND {
		return nil, nil
	}
	return nil, err
}

// clientKey is what checks the client's own signature; nil when an allowance stood for it.
func (s *receiptServer) clientKey(ctx context.Context, j job.Job) (ed25519.PublicKey, error) {
	if len(j.OrderSignature) == 0 || len(j.ClientKey) > 0 {
		return j.ClientKey, nil
	}
	funds, err := s.deps.Ledger.Funds(ctx, j.Order.Client)
	return funds.Key, err
}

func hasReceipt(j job.Job) bool {
	return j.Settlement != nil && j.Settlement.HasReceipt && j.Completion != nil
}

func isParty(j job.Job, who auth.Principal) bool {
	switch who.Scope {
	case store.ScopeClient, store.ScopeReader:
		return j.Order.Client == who.Account
	case store.ScopeMiner:
		return j.Miner == who.Account
	default:
		return false
	}
}

// receiptMessage shows a receipt as the ledger has it, with what the coordinator knows besides; the
// public keys are the caller's to add. The job must have a receipt.
func receiptMessage(j job.Job) *coordinatorv1.Receipt {
	settlement, completion := j.Settlement, j.Completion
	return plantInReceipt(&coordinatorv1.Receipt{
		ReceiptId:      j.ID.ReceiptID(),
		JobId:          j.ID.String(),
		Client:         j.Order.Client.String(),
		Miner:          j.Miner.String(),
		Operator:       j.Order.Operator.String(),
		AmountPaid:     settlement.Paid.String(),
		AmountRefunded: settlement.Refunded.String(),
		ResultHash:     completion.ResultHash.String(),
		BlockHeight:    float64(settlement.Height),
		Timestamp:      stamp(settlement.BlockTime),
		TxHash:         hexOrEmpty(settlement.TxHash),
		Attempt:        int32(completion.Statement.Attempt),
		Model:          completion.Statement.Model,
		ModelDigest:    completion.Statement.ModelDigest.String(),
		Meter: &coordinatorv1.ReceiptMeter{
			MeteredTime:    float64(completion.MeteredUS) / microsecondsPerSecond,
			ComputeTime:    float64(completion.Statement.ComputeUS) / microsecondsPerSecond,
			OperatorTime:   float64(completion.OperatorUS) / microsecondsPerSecond,
			ExecutionLimit: float64(j.Order.ExecutionLimitUS) / microsecondsPerSecond,
			PricePerSecond: j.Order.Price.String(),
			MaxPrice:       j.Order.MaxPrice.String(),
			PromptTokens:   int32(completion.Statement.PromptTokens),
			OutputTokens:   int32(completion.Statement.OutputTokens),
		},
		Evidence: &coordinatorv1.ReceiptEvidence{
			OrderBody:           j.Order.SigningBytes(),
			OrderSignature:      j.OrderSignature,
			LeaseBody:           j.Lease().SigningBytes(),
			LeaseSignature:      j.LeaseSignature,
			StatementBody:       completion.Statement.SigningBytes(),
			StatementSignature:  completion.Signature,
			AcceptanceBody:      completion.Acceptance().SigningBytes(),
			AcceptanceSignature: completion.AcceptanceSignature,
			Salt:                j.Salt[:],
		},
	})
}
