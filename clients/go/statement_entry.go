package aitbc

import (
	"context"
	"iter"
	"strings"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// StatementEntry is what one message moved on the ledger, or what the ledger moved by itself. Its
// postings sum to zero. Its JSON is the contract's.
type StatementEntry struct {
	// Time and BlockHeight are the block's.
	Time        time.Time `json:"time"`
	BlockHeight int64     `json:"block_height"`
	// Kind is what it was, such as record_receipt.
	Kind string `json:"kind"`
	// JobID is the job; zero if it is not about one.
	JobID JobID `json:"job_id,omitzero"`
	// TxHash is the transaction; zero for what moved by itself.
	TxHash Hash `json:"tx_hash,omitzero"`
	// Amount is what it did to the account's balance; negative: went out.
	Amount Amount `json:"amount"`
	// Balance is the balance afterwards; nil when it was not touched.
	Balance *Amount `json:"balance,omitempty"`
	// Postings are all of its postings, those of others too.
	Postings []Posting `json:"postings"`
}

// Posting is what came into a book, or, negative, went out of it.
type Posting struct {
	// Book is balance, escrow, stake, unbonding, burned or genesis.
	Book string `json:"book"`
	// AccountID is whose; zero for what is burned, and for genesis.
	AccountID AccountID `json:"account_id,omitzero"`
	Amount    Amount    `json:"amount"`
}

// Statement explains every unit of the caller's account, newest first. It fetches a page at a time, as
// far as it is read. An error is the last thing given.
func (c *Client) Statement(ctx context.Context) iter.Seq2[*StatementEntry, error] {
	return pages(func(token string) ([]*coordinatorv1.StatementEntry, string, error) {
		answer, err := c.network.ListStatementEntries(ctx, &coordinatorv1.ListStatementEntriesRequest{PageToken: token})
		return answer.GetEntries(), answer.GetNextPageToken(), err
	}, statementEntryOf)
}

func statementEntryOf(m *coordinatorv1.StatementEntry) (*StatementEntry, error) {
	var f fieldReader
	entry := &StatementEntry{
		Time: instant(m.GetTime()), BlockHeight: int64(m.GetBlockHeight()), Kind: m.GetKind(),
		JobID:  read(&f, "job_id", m.GetJobId(), ParseJobID),
		TxHash: f.hash("tx_hash", m.GetTxHash()), Amount: read(&f, "amount", m.GetAmount(), parseChange), Postings: []Posting{},
	}
	if m.GetBalance() != "" {
		balance := f.amount("balance", m.GetBalance())
		entry.Balance = &balance
	}
	for _, p := range m.GetPostings() {
		entry.Postings = append(entry.Postings, Posting{
			Book: p.GetBook(), AccountID: f.account("postings.account_id", p.GetAccountId()),
			Amount: read(&f, "postings.amount", p.GetAmount(), parseChange),
		})
	}
	return entry, f.err()
}

// parseChange reads an amount that may be negative, which only a statement's are.
func parseChange(text string) (Amount, error) {
	size, negative := strings.CutPrefix(text, "-")
	amount, err := ParseAmount(size)
	if negative {
		amount = -amount
	}
	return amount, err
}
