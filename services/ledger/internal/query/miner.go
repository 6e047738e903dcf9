package query

import (
	"context"
	"encoding/base64"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

const (
	defaultPageSize = 50
	maxPageSize     = 1000
)

// GetMiner implements LedgerService.
func (s *Service) GetMiner(_ context.Context, req *ledgerv1.GetMinerRequest) (*ledgerv1.GetMinerResponse, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	id, err := accountID("miner_id", req.GetMinerId())
	if err != nil {
		return nil, err
	}
	if _, there := st.Miner(id); !there {
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND, "account %s is not a registered miner", id).
			With("miner_id", id.String())
	}
	return &ledgerv1.GetMinerResponse{Miner: minerProto(st, id)}, nil
}

// ListMiners implements LedgerService.
func (s *Service) ListMiners(_ context.Context, req *ledgerv1.ListMinersRequest) (*ledgerv1.ListMinersResponse, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	from, err := pageStart(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	resp := &ledgerv1.ListMinersResponse{}
	ids := st.Miners(from, size+1)
	if len(ids) > size {
		resp.NextPageToken = base64.RawURLEncoding.EncodeToString(ids[size][:])
		ids = ids[:size]
	}
	for _, id := range ids {
		resp.Miners = append(resp.Miners, minerProto(st, id))
	}
	return resp, nil
}

// pageSize gives how many items a page has.
func pageSize(asked int32) (int, error) {
	switch {
	case asked < 0:
		return 0, apierr.InvalidField("page_size", "want 0 or more")
	case asked == 0:
		return defaultPageSize, nil
	default:
		return int(min(asked, maxPageSize)), nil
	}
}

// pageStart reads a page token: the id that the page begins with.
func pageStart(token string) (aitbc.AccountID, error) {
	var from aitbc.AccountID
	if token == "" {
		return from, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != len(from) {
		return from, apierr.InvalidField("page_token", "want next_page_token of the page before")
	}
	return aitbc.AccountID(raw), nil
}

func minerProto(st *state.State, id aitbc.AccountID) *ledgerv1.LedgerMiner {
	miner, _ := st.Miner(id)
	account, _ := st.Account(id)
	resp := &ledgerv1.LedgerMiner{
		MinerId: id.String(), Name: miner.Name, StakeUaitbc: int64(miner.Stake), PublicKey: account.PublicKey, SlashedUs: miner.SlashedUS,
	}
	for _, u := range miner.Unbonding {
		resp.Unbonding = append(resp.Unbonding, &ledgerv1.Unbonding{AmountUaitbc: int64(u.Amount), DueUs: u.DueUS})
	}
	return resp
}
