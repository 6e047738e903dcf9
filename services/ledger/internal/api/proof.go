package api

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/cometbft/cometbft/types"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// validatorsPage is CometBFT's largest page of validators.
const validatorsPage = 100

// GetReceiptProof implements LedgerService: package query's proof, and the block that signs for it.
func (s *Server) GetReceiptProof(ctx context.Context, req *ledgerv1.GetReceiptProofRequest) (*ledgerv1.GetReceiptProofResponse, error) {
	height, err := s.heightOf(ctx, req)
	if err != nil {
		return nil, err
	}
	answer, err := s.Service.GetReceiptProof(ctx, &ledgerv1.GetReceiptProofRequest{
		JobId: req.GetJobId(), OperatorId: req.GetOperatorId(), Height: height,
	})
	if err != nil {
		return nil, err
	}
	block, err := s.lightBlock(ctx, answer.GetProof().GetHeight())
	if err != nil {
		return nil, err
	}
	answer.LightBlock = block
	return answer, nil
}

// heightOf gives the height of the header that was asked for; 0: the latest.
func (s *Server) heightOf(ctx context.Context, req *ledgerv1.GetReceiptProofRequest) (int64, error) {
	hash := req.GetBlockHash()
	switch {
	case len(hash) == 0:
		return req.GetHeight(), nil
	case len(hash) != sha256.Size:
		return 0, apierr.InvalidField("block_hash", "want 32 bytes")
	case req.GetHeight() != 0:
		return 0, apierr.InvalidField("block_hash", "want a height or a hash, not both")
	}
	found, err := s.node.HeaderByHash(ctx, hash)
	if err != nil {
		return 0, fmt.Errorf("look up block %x: %w", hash, err)
	}
	if found.Header == nil {
		return 0, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE, "this node has no block %x", hash)
	}
	return found.Header.Height, nil
}

// lightBlock gives a header with its signatures and the keys they were made with.
func (s *Server) lightBlock(ctx context.Context, height int64) ([]byte, error) {
	signed, err := s.node.Commit(ctx, &height)
	// The height is not over the last one's; so what is missing was pruned.
	if err != nil || signed == nil || signed.Header == nil || signed.SignedHeader.Commit == nil {
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE, "this node does not keep block %d any more", height).WithCause(err)
	}
	validators, err := s.validators(ctx, height)
	if err != nil {
		return nil, err
	}
	block, err := (&types.LightBlock{SignedHeader: &signed.SignedHeader, ValidatorSet: validators}).ToProto()
	if err != nil {
		return nil, fmt.Errorf("encode block %d: %w", height, err)
	}
	return block.Marshal()
}

func (s *Server) validators(ctx context.Context, height int64) (*types.ValidatorSet, error) {
	var all []*types.Validator
	for page, size := 1, validatorsPage; ; page++ {
		answer, err := s.node.Validators(ctx, &height, &page, &size)
		if err != nil {
			return nil, fmt.Errorf("read the validators of block %d: %w", height, err)
		}
		all = append(all, answer.Validators...)
		if len(answer.Validators) == 0 || len(all) >= answer.Total {
			break
		}
	}
	// In the order of their hash, which NewValidatorSet would make anew.
	return types.ValidatorSetFromExistingValidators(all)
}
