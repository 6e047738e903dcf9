package app_test

import (
	"errors"
	"testing"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"
)

var errPower = errors.New("the power is gone")

// power is what all databases of a machine write with. After so many writes it is gone: the next
// one does nothing, as do all later ones.
type power struct{ writes int }

func (p *power) use(write func() error) error {
	if p.writes--; p.writes < 0 {
		return errPower
	}
	return write()
}

// machine is a database on that power. It counts batches, which are written whole or not at all; the
// app must write in no other way.
type machine struct {
	dbm.DB
	power *power
}

func (m machine) NewBatch() dbm.Batch     { return batch{m.DB.NewBatch(), m.power} }
func (machine) Set(_, _ []byte) error     { panic("a write outside of a batch") }
func (machine) SetSync(_, _ []byte) error { panic("a write outside of a batch") }
func (machine) Delete(_ []byte) error     { panic("a write outside of a batch") }
func (machine) DeleteSync(_ []byte) error { panic("a write outside of a batch") }

type batch struct {
	dbm.Batch
	power *power
}

func (b batch) Write() error     { return b.power.use(b.Batch.Write) }
func (b batch) WriteSync() error { return b.power.use(b.Batch.WriteSync) }

// machineDisk is two databases in memory, which a crash leaves as they are.
type machineDisk struct{ states, records dbm.DB }

func newMachine() machineDisk { return machineDisk{dbm.NewMemDB(), dbm.NewMemDB()} }

func (d machineDisk) start(t *testing.T, writes int) *ledger {
	t.Helper()
	p := &power{writes}
	return openOn(t, machine{d.states, p}, machine{d.records, p})
}

const enough = 1 << 30

// outcome is what consensus sees of a block.
type outcome struct {
	hash  string
	codes []uint32
	data  []string
}

func outcomeOf(r *abci.ResponseFinalizeBlock) outcome {
	o := outcome{hash: string(r.AppHash)}
	for _, tx := range r.TxResults {
		o.codes, o.data = append(o.codes, tx.Code), append(o.data, string(tx.Data))
	}
	return o
}

// run gives the app the blocks that it lacks, as CometBFT does, and keeps what each came to, which must
// be what it came to before. False: the power went in the middle.
func (l *ledger) run(blocks [][][]byte, seen map[int64]outcome) bool {
	l.t.Helper()
	if l.height() == 0 {
		l.genesis()
	}
	for height := l.height() + 1; height <= int64(len(blocks)); height++ {
		got := outcomeOf(l.execute(height, blocks[height-1]...))
		if before, again := seen[height]; again {
			require.Equal(l.t, before, got, "block %d", height)
		}
		seen[height] = got
		if _, err := l.Commit(l.t.Context(), &abci.RequestCommit{}); err != nil {
			require.ErrorIs(l.t, err, errPower)
			require.ErrorIs(l.t, <-l.Halted(), errPower)
			return false
		}
	}
	return true
}

// TestTheSameBlocksComeToTheSameAfterACrashAtEveryWrite plays a story on a machine that loses its power at the
// n-th write, for every n, and starts again; on another, which loses its history with its power; and on
// one that has power for one block a start only.
func TestTheSameBlocksComeToTheSameAfterACrashAtEveryWrite(t *testing.T) {
	t.Parallel()
	blocks, paid, refunded := story(t)
	whole, seen := newMachine().start(t, enough), map[int64]outcome{}
	require.True(t, whole.run(blocks, seen))

	crashes := 0
	for done := false; !done; crashes++ {
		d := newMachine()
		l := d.start(t, crashes)
		if done = l.run(blocks, seen); !done {
			l = d.start(t, enough)
			require.True(t, l.run(blocks, seen))
		}
		same(t, whole, l, blocks, paid, refunded)
	}
	require.Greater(t, crashes, len(blocks), "a block is more than one write")

	for writes := range crashes {
		d := newMachine()
		d.start(t, writes).run(blocks, seen)
		d.records = dbm.NewMemDB()
		l := d.start(t, enough)
		require.True(t, l.run(blocks, seen))
		require.Equal(t, whole.State().Meta(), l.State().Meta())
	}

	d, starts := newMachine(), 0
	for !d.start(t, 3).run(blocks, seen) { // one as it starts, two for a block
		starts++
		require.Less(t, starts, len(blocks), "each start gets a block further")
	}
	same(t, whole, d.start(t, enough), blocks, paid, refunded)
}
