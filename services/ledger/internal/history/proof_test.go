package history_test

import (
	"math/bits"
	"testing"

	dbm "github.com/cometbft/cometbft-db"
	"github.com/stretchr/testify/require"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/ledger/internal/history"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
)

// counted is a database that counts what is read.
type counted struct {
	dbm.DB
	gets int
}

func (c *counted) Get(key []byte) ([]byte, error) {
	c.gets++
	return c.DB.Get(key)
}

// past is a history that a chain writes, as package app does.
type past struct {
	*history.DB
	*ledgertest.Chain
	t      *testing.T
	reads  *counted
	leaves map[uint64]aitbc.ReceiptLeaf
	hashes map[int64]aitbc.Hash // app hashes by height
}

func newPast(t *testing.T) *past {
	t.Helper()
	reads := &counted{DB: dbm.NewMemDB()}
	return &past{
		DB: history.New(reads), Chain: ledgertest.NewChain(t, ledgertest.Genesis()), t: t, reads: reads,
		leaves: map[uint64]aitbc.ReceiptLeaf{}, hashes: map[int64]aitbc.Hash{},
	}
}

// write remembers the chain's last block.
func (p *past) write() {
	p.t.Helper()
	st := p.State
	roots := st.Roots()
	require.NoError(p.t, p.Write(history.Block{Height: st.Height(), Events: p.Events, LogNodes: p.LogNodes, Roots: &roots}))
	p.hashes[st.Height()] = st.AppHash()
	for _, e := range p.Events {
		if e.Settlement.Receipt != nil {
			leaf, err := aitbc.ReceiptLeafOf(e.Settlement.Receipt)
			require.NoError(p.t, err)
			p.leaves[leaf.LogIndex] = leaf
		}
	}
}

// settle makes jobs and their receipts, one block each.
func (p *past) settle(from, to int) {
	p.t.Helper()
	for n := from; n < to; n++ {
		order := p.Escrow(n)
		p.write()
		require.Zero(p.t, p.One("operator", ledgertest.Receipt(ledgertest.Work{Order: order, Miner: "miner", Attempt: 1, ComputeUS: 7, MeteredUS: 7})))
		p.write()
	}
}

func (p *past) requireProven(index uint64, height int64) {
	p.t.Helper()
	roots, err := p.Roots(height)
	require.NoError(p.t, err)
	require.Equal(p.t, p.hashes[height], roots.AppHash())
	p.reads.gets = 0
	path, err := p.Inclusion(index, roots.LogSize)
	require.NoError(p.t, err)
	require.LessOrEqual(p.t, p.reads.gets, 2*bits.Len64(roots.LogSize))
	leaf := rfc6962.DefaultHasher.HashLeaf(p.leaves[index].Bytes())
	require.NoError(p.t, proof.VerifyInclusion(rfc6962.DefaultHasher, index, roots.LogSize, leaf, path, roots.LogRoot[:]))
}

func TestEveryReceiptIsProvenAtEverySizeOfTheLog(t *testing.T) {
	t.Parallel()
	const receipts = 21
	p := newPast(t)
	p.settle(0, receipts)
	for height := int64(2); height <= p.State.Height(); height++ {
		for index := range uint64(height / 2) {
			p.requireProven(index, height)
		}
	}
	_, err := p.Inclusion(receipts, receipts)
	require.Error(t, err)
}

func TestBlocksThatChangeNothingHaveTheRootsBeforeThem(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.settle(0, 1)
	want, err := p.Roots(2)
	require.NoError(t, err)
	require.NoError(t, p.Write(history.Block{Height: 3}))
	got, err := p.Roots(3)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = p.Roots(0)
	require.ErrorIs(t, err, history.ErrForgotten)
}

func TestAHistoryThatBeginsLaterProvesWhatCameAfter(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.settle(0, 5)
	p.reads.DB = dbm.NewMemDB() // it is lost
	require.NoError(t, p.Begin(p.State))
	begun := p.State.Height()
	p.settle(5, 16)
	for height := begun + 2; height <= p.State.Height(); height++ {
		for index := uint64(5); index < uint64(height/2); index++ {
			p.requireProven(index, height)
		}
	}
	_, err := p.Inclusion(1, p.State.Receipts())
	require.ErrorIs(t, err, history.ErrForgotten)
	_, err = p.Roots(begun - 1)
	require.ErrorIs(t, err, history.ErrForgotten)
}
