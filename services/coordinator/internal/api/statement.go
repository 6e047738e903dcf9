package api

import (
	"context"
	"encoding/hex"
	"strings"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// Statements read an account's statement from a ledger node. Page tokens are the node's.
type Statements interface {
	Statement(ctx context.Context, account aitbc.AccountID, pageSize int32, pageToken string) (*ledgerv1.ListStatementEntriesResponse, error)
}

// ListStatementEntries implements NetworkService.
func (s *networkServer) ListStatementEntries(ctx context.Context, r *coordinatorv1.ListStatementEntriesRequest) (*coordinatorv1.ListStatementEntriesResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	response := &coordinatorv1.ListStatementEntriesResponse{}
	if s.deps.Statements == nil {
		return response, nil
	}
	page, err := s.deps.Statements.Statement(ctx, who.Account, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	response.NextPageToken = page.GetNextPageToken()
	for _, e := range page.GetEntries() {
		response.Entries = append(response.Entries, statementEntry(who.Account.String(), e))
	}
	return response, nil
}

func statementEntry(account string, e *ledgerv1.StatementEntry) *coordinatorv1.StatementEntry {
	entry := &coordinatorv1.StatementEntry{
		Time: stamp(time.UnixMicro(e.GetBlockTimeUs()).UTC()), BlockHeight: float64(e.GetHeight()), Kind: e.GetKind(),
		JobId: e.GetJobId(), TxHash: hex.EncodeToString(e.GetTxHash()),
	}
	var amount aitbc.Amount
	for _, p := range e.GetPostings() {
		if p.GetBook() == ledgerv1.Posting_BOOK_BALANCE && p.GetAccountId() == account {
			amount += aitbc.Amount(p.GetAmountUaitbc())
		}
		entry.Postings = append(entry.Postings, &coordinatorv1.Posting{
			Book:      strings.ToLower(strings.TrimPrefix(p.GetBook().String(), "BOOK_")),
			AccountId: p.GetAccountId(), Amount: aitbc.Amount(p.GetAmountUaitbc()).String(),
		})
	}
	entry.Amount = amount.String()
	if e.BalanceUaitbc != nil {
		entry.Balance = aitbc.Amount(e.GetBalanceUaitbc()).String()
	}
	return entry
}
