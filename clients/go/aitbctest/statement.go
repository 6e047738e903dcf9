package aitbctest

import (
	"context"
	"slices"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// ListStatementEntries explains the balance: what the account began with, and what each completed job
// took and gave back. A page token is how many entries came before.
func (s networkService) ListStatementEntries(_ context.Context, req *coordinatorv1.ListStatementEntriesRequest) (*coordinatorv1.ListStatementEntriesResponse, error) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	all, err := s.book.statement()
	if err != nil {
		return nil, err
	}
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	start := 0
	if req.GetPageToken() != "" {
		if start, err = strconv.Atoi(req.GetPageToken()); err != nil || start < 0 || start > len(all) {
			return nil, invalidField("page_token", "must be a next_page_token of an earlier answer")
		}
	}
	end := min(start+size, len(all))
	page := &coordinatorv1.ListStatementEntriesResponse{Entries: all[start:end]}
	if end < len(all) {
		page.NextPageToken = strconv.Itoa(end)
	}
	return page, nil
}

// statement gives all entries, newest first.
func (b *book) statement() ([]*coordinatorv1.StatementEntry, error) {
	client, miner := b.parties.client.account.String(), b.parties.miner.account.String()
	balance := b.cfg.Balance
	all := []*coordinatorv1.StatementEntry{{
		Time: timestamppb.Now(), BlockHeight: 1, Kind: "genesis", Amount: balance.String(), Balance: balance.String(),
		Postings: []*coordinatorv1.Posting{posting("balance", client, balance), posting("genesis", "", -balance)},
	}}
	for _, e := range slices.Backward(b.newestFirst()) {
		if e.job.GetStatus() != string(aitbc.StatusCompleted) {
			continue
		}
		limit, err := aitbc.ParseAmount(e.job.GetMaxPrice())
		if err != nil {
			return nil, err
		}
		paid, err := aitbc.ParseAmount(e.job.GetCost())
		if err != nil {
			return nil, err
		}
		add := func(kind string, at *timestamppb.Timestamp, amount aitbc.Amount, postings ...*coordinatorv1.Posting) {
			balance += amount
			all = append(all, &coordinatorv1.StatementEntry{
				Time: at, BlockHeight: e.receipt.GetBlockHeight(), Kind: kind, JobId: e.job.GetJobId(), TxHash: hashText(kind + e.job.GetJobId()),
				Amount: amount.String(), Balance: balance.String(), Postings: postings,
			})
		}
		add("submit_job", e.job.GetSubmittedAt(), -limit, posting("balance", client, -limit), posting("escrow", client, limit))
		add("record_receipt", e.job.GetCompletedAt(), limit-paid,
			posting("escrow", client, -limit), posting("balance", client, limit-paid), posting("balance", miner, paid))
	}
	slices.Reverse(all)
	return all, nil
}

func posting(book, account string, amount aitbc.Amount) *coordinatorv1.Posting {
	return &coordinatorv1.Posting{Book: book, AccountId: account, Amount: amount.String()}
}
