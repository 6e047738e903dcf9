package query

import (
	"context"
	"errors"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/ledger/internal/history"
)

// GetReceiptProof implements the part of LedgerService's method that needs no block store: the
// answer has no block, and the request must not name one by its hash.
//
// The header at a height holds the app hash of the block before it; so the latest header that can
// be proven against is that of the last block executed.
func (s *Service) GetReceiptProof(ctx context.Context, req *ledgerv1.GetReceiptProofRequest) (*ledgerv1.GetReceiptProofResponse, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	if len(req.GetBlockHash()) != 0 {
		return nil, apierr.InvalidField("block_hash", "here a block can be named by its height alone")
	}
	job, err := s.GetJob(ctx, &ledgerv1.GetJobRequest{JobId: req.GetJobId(), OperatorId: req.GetOperatorId()})
	if err != nil {
		return nil, err
	}
	settled := job.GetSettlement()
	if settled.GetReceipt() == nil {
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_RECEIPT_NOT_FOUND,
			"job %s has no receipt, or one from before this node's history", req.GetJobId()).With("job_id", req.GetJobId())
	}
	height, last := req.GetHeight(), st.Height()
	if height == 0 {
		height = last
	}
	switch first := settled.GetHeight() + 1; {
	case height > last && req.GetHeight() != 0:
		return nil, wrongHeight("the last block is %d, there is no %d", last, height)
	case height < first && req.GetHeight() != 0:
		return nil, wrongHeight("the receipt can be proven from block %d on, not against %d", first, height)
	case height < first:
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE,
			"the receipt can be proven from block %d on, which is yet to come", first)
	}
	proof, err := s.prove(settled.GetReceipt(), height)
	if errors.Is(err, history.ErrForgotten) {
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_RECEIPT_NOT_FOUND,
			"job %s has a receipt that this node cannot prove: its history begins later; ask another one", req.GetJobId()).
			With("job_id", req.GetJobId()).WithCause(err)
	}
	if err != nil {
		return nil, err
	}
	return &ledgerv1.GetReceiptProofResponse{Proof: proof}, nil
}

func wrongHeight(format string, heights ...any) error {
	return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE, format, heights...)
}

// prove leads from a receipt to the app hash in the header at a height.
func (s *Service) prove(receipt *ledgerv1.LedgerReceipt, height int64) (*ledgerv1.ReceiptProof, error) {
	roots, err := s.history.Roots(height - 1)
	if err != nil {
		return nil, err
	}
	path, err := s.history.Inclusion(receipt.GetLogIndex(), roots.LogSize)
	if err != nil {
		return nil, err
	}
	return &ledgerv1.ReceiptProof{
		Receipt: receipt, Height: height,
		EntriesRoot: roots.Entries[:], LogSize: roots.LogSize, LogRoot: roots.LogRoot[:], Path: path,
	}, nil
}
