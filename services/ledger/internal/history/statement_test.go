package history_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/history"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// keep remembers the last block's movements.
func (p *past) keep(before ...state.Movement) {
	p.t.Helper()
	require.NoError(p.t, p.Write(history.Block{
		Height: p.State.Height(), TimeUS: p.State.BlockTime().UnixMicro(), Movements: append(before, p.Movements...),
	}))
}

// statement reads an account's whole statement, oldest first, in pages of two.
func (p *past) statement(name string) []*ledgerv1.StatementEntry {
	p.t.Helper()
	var all []*ledgerv1.StatementEntry
	before := history.Place{Height: p.State.Height() + 1}
	for {
		page, last, err := p.Statement(ledgertest.ID(name), before, 2)
		require.NoError(p.t, err)
		for _, e := range page {
			all = append([]*ledgerv1.StatementEntry{e}, all...)
		}
		if len(page) < 2 {
			return all
		}
		before = last
	}
}

func TestAStatementExplainsEveryUnit(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	opening := p.State.Opening()
	order := p.Escrow(1)
	p.keep(opening...)
	w := ledgertest.Work{Order: order, Miner: "miner", Attempt: 1, ComputeUS: 12_500_000, MeteredUS: 12_500_000}
	require.Zero(t, p.One("operator", ledgertest.Receipt(w)))
	p.keep()
	require.Zero(t, p.One("miner", &ledgerv1.BondStake{AmountUaitbc: 7}))
	p.keep()

	for _, name := range []string{"client", "miner", "operator"} {
		var sum int64
		for _, e := range p.statement(name) {
			var all int64
			for _, posting := range e.GetPostings() {
				all += posting.GetAmountUaitbc()
				if posting.GetBook() == ledgerv1.Posting_BOOK_BALANCE && posting.GetAccountId() == ledgertest.ID(name).String() {
					sum += posting.GetAmountUaitbc()
				}
			}
			require.Zero(t, all, "%v", e)
			if e.BalanceUaitbc != nil {
				require.Equal(t, sum, e.GetBalanceUaitbc(), "%v", e)
			}
		}
		require.Equal(t, p.Balance(name), aitbc.Amount(sum), name)
	}
	var kinds []string
	for _, e := range p.statement("client") {
		kinds = append(kinds, e.GetKind())
	}
	require.Equal(t, []string{"genesis", "submit_job", "record_receipt"}, kinds)
	last := p.statement("client")[2]
	require.Equal(t, order.JobID.String(), last.GetJobId())
	require.Len(t, last.GetTxHash(), 32)
	require.Len(t, last.GetPostings(), 3, "from the escrow to the client and to the miner")
	require.Empty(t, p.statement("nobody"))
}
