package query

import (
	"context"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// GetJob implements LedgerService.
func (s *Service) GetJob(_ context.Context, req *ledgerv1.GetJobRequest) (*ledgerv1.GetJobResponse, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	job, err := aitbc.ParseJobID(req.GetJobId())
	if err != nil {
		return nil, apierr.InvalidField("job_id", "want \"job_\" and a ULID").WithCause(err)
	}
	operator, err := accountID("operator_id", req.GetOperatorId())
	if err != nil {
		return nil, err
	}
	escrow, open := st.Escrow(operator, job)
	past, err := s.history.Job(operator, job)
	if err != nil {
		return nil, err
	}
	resp := &ledgerv1.GetJobResponse{LedgerTimeUs: st.LedgerTimeUS()}
	if open {
		resp.Escrow = escrowProto(operator, job, escrow)
		resp.Escrow.TxHash = past.GetEscrow().GetTxHash()
		if escrow.RefundFinalUS != 0 {
			resp.Escrow.RefundTxHash = past.GetEscrow().GetRefundTxHash()
		}
		return resp, nil
	}
	resp.Settlement = past.GetSettlement()
	return resp, nil
}

// GetTransaction implements LedgerService.
func (s *Service) GetTransaction(_ context.Context, req *ledgerv1.GetTransactionRequest) (*ledgerv1.GetTransactionResponse, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	if len(req.GetTxHash()) != len(aitbc.Hash{}) {
		return nil, apierr.InvalidField("tx_hash", "want 32 bytes")
	}
	record, err := s.history.Transaction(aitbc.Hash(req.GetTxHash()))
	if err != nil {
		return nil, err
	}
	// A block whose history is written but whose state is not is not committed yet.
	if record.GetHeight() > st.Height() {
		record = &ledgerv1.GetTransactionResponse{}
	}
	record.LedgerTimeUs = st.LedgerTimeUS()
	return record, nil
}

func escrowProto(operator aitbc.AccountID, job aitbc.JobID, e state.Escrow) *ledgerv1.Escrow {
	return &ledgerv1.Escrow{
		JobId:            job.String(),
		ClientId:         e.Client.String(),
		OperatorId:       operator.String(),
		AmountUaitbc:     int64(e.Amount),
		PriceUaitbc:      int64(e.Price),
		ExecutionLimitUs: e.ExecutionLimitUS,
		SettleByUs:       e.SettleByUS,
		OrderHash:        e.OrderHash[:],
		RefundFinalUs:    e.RefundFinalUS,
	}
}

func supplyProto(s state.Supply) *ledgerv1.Supply {
	return &ledgerv1.Supply{
		TotalUaitbc:     int64(s.Total()),
		BalancesUaitbc:  int64(s.Balances),
		EscrowedUaitbc:  int64(s.Escrowed),
		StakedUaitbc:    int64(s.Staked),
		UnbondingUaitbc: int64(s.Unbonding),
		BurnedUaitbc:    int64(s.Burned),
	}
}

func paramsProto(p state.Params) *ledgerv1.Params {
	return &ledgerv1.Params{
		DefaultPriceUaitbc:  int64(p.DefaultPrice),
		MinPriceUaitbc:      int64(p.MinPrice),
		MaxPriceUaitbc:      int64(p.MaxPrice),
		MinGraceUs:          p.MinGraceUS,
		MaxSettleAheadUs:    p.MaxSettleAheadUS,
		RefundWindowUs:      p.RefundWindowUS,
		MaxExpiryAheadUs:    p.MaxExpiryAheadUS,
		MaxBlockGapUs:       p.MaxBlockGapUS,
		MinStakeUaitbc:      int64(p.MinStake),
		MaxExpiriesPerBlock: p.MaxExpiriesPerBlock,
		FeeBps:              p.FeeBps,
		DustLimitUaitbc:     int64(p.DustLimit),
		UnbondingUs:         p.UnbondingUS,
		RulesVersion:        p.RulesVersion,
	}
}
