package app_test

import (
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
)

// join lets a new application take up a snapshot; change may spoil what it is given.
func join(t *testing.T, from *ledger, change func(*abci.RequestOfferSnapshot, *abci.RequestApplySnapshotChunk)) (*ledger, *abci.ResponseApplySnapshotChunk) {
	t.Helper()
	list, err := from.ListSnapshots(t.Context(), &abci.RequestListSnapshots{})
	require.NoError(t, err)
	require.NotEmpty(t, list.Snapshots)
	newest := list.Snapshots[len(list.Snapshots)-1]
	require.EqualValues(t, 1, newest.Chunks)
	part, err := from.LoadSnapshotChunk(t.Context(), &abci.RequestLoadSnapshotChunk{Height: newest.Height, Format: newest.Format})
	require.NoError(t, err)
	hash := from.State().AppHash()
	offer := &abci.RequestOfferSnapshot{Snapshot: newest, AppHash: hash[:]}
	chunk := &abci.RequestApplySnapshotChunk{Chunk: part.Chunk, Sender: "s"}
	if change != nil {
		change(offer, chunk)
	}
	to := disk{t.TempDir()}.open(t)
	accepted, err := to.OfferSnapshot(t.Context(), offer)
	require.NoError(t, err)
	require.Equal(t, abci.ResponseOfferSnapshot_ACCEPT, accepted.Result)
	applied, err := to.ApplySnapshotChunk(t.Context(), chunk)
	require.NoError(t, err)
	return to, applied
}

// grown is an application with some blocks.
func grown(t *testing.T) *ledger {
	t.Helper()
	l := disk{t.TempDir()}.open(t)
	l.genesis()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	for height := int64(1); height <= 3; height++ {
		l.execute(height, c.Sign("operator", ledgertest.Submit(ledgertest.Order(ledgertest.Job(int(height)), c.Now()))))
		l.commit()
		c.Block()
	}
	return l
}

func TestANodeThatJoinedGoesOnWithTheSameHashes(t *testing.T) {
	t.Parallel()
	from := grown(t)
	to, applied := join(t, from, nil)
	require.Equal(t, abci.ResponseApplySnapshotChunk_ACCEPT, applied.Result)
	require.Equal(t, from.height(), to.height())
	for range 3 {
		height := from.height() + 1
		require.Equal(t, from.execute(height).AppHash, to.execute(height).AppHash)
		from.commit()
		to.commit()
	}
	require.Equal(t, from.State().Meta(), to.State().Meta())
	from.close()
	to.close()
}

func TestASnapshotIsHeldToTheTrustedHash(t *testing.T) {
	t.Parallel()
	from := grown(t)
	for name, test := range map[string]struct {
		change func(*abci.RequestOfferSnapshot, *abci.RequestApplySnapshotChunk)
		want   abci.ResponseApplySnapshotChunk_Result
	}{
		"a part that was changed": {func(_ *abci.RequestOfferSnapshot, c *abci.RequestApplySnapshotChunk) {
			c.Chunk = append([]byte{}, c.Chunk...)
			c.Chunk[9]++
		}, abci.ResponseApplySnapshotChunk_RETRY},
		"another hash than the light client's": {func(o *abci.RequestOfferSnapshot, _ *abci.RequestApplySnapshotChunk) {
			o.AppHash[0]++
		}, abci.ResponseApplySnapshotChunk_REJECT_SNAPSHOT},
		"another height": {func(o *abci.RequestOfferSnapshot, _ *abci.RequestApplySnapshotChunk) {
			o.Snapshot.Height++
		}, abci.ResponseApplySnapshotChunk_REJECT_SNAPSHOT},
	} {
		t.Run(name, func(t *testing.T) {
			to, applied := join(t, from, test.change)
			require.Equal(t, test.want, applied.Result)
			require.Nil(t, to.State())
			to.close()
		})
	}
	from.close()
}

func TestASnapshotsBlockTimeIsHeldToTheHeader(t *testing.T) {
	t.Parallel()
	from := grown(t)
	to, _ := join(t, from, nil)
	to.KnowBlockTime(func() (int64, time.Time, error) { return to.height(), blockTime(9), nil })
	_, err := to.FinalizeBlock(t.Context(), &abci.RequestFinalizeBlock{Height: to.height() + 1, Time: blockTime(20)})
	require.ErrorContains(t, err, "its header says")
	require.ErrorContains(t, <-to.Halted(), "join again")
	to.KnowBlockTime(func() (int64, time.Time, error) { return to.height(), blockTime(3), nil })
	to.execute(to.height() + 1)
	from.close()
	to.close()
}

// A node that has begun to take a snapshot may finish, however fast new ones are made; and there is an end of that.
func TestASnapshotThatIsTakenStays(t *testing.T) {
	t.Parallel()
	l := grown(t)
	offered := func() (heights []uint64) {
		list, err := l.ListSnapshots(t.Context(), &abci.RequestListSnapshots{})
		require.NoError(t, err)
		for _, s := range list.Snapshots {
			heights = append(heights, s.Height)
		}
		return heights
	}
	part := func(height uint64) []byte {
		chunk, err := l.LoadSnapshotChunk(t.Context(), &abci.RequestLoadSnapshotChunk{Height: height, Format: 1})
		require.NoError(t, err)
		return chunk.Chunk
	}
	var retains int64
	grow := func(until int64) {
		for l.height() < until {
			l.execute(l.height() + 1)
			resp, err := l.Commit(t.Context(), &abci.RequestCommit{})
			require.NoError(t, err)
			retains = resp.RetainHeight
		}
	}
	first := part(3)
	require.NotNil(t, first)
	grow(20)
	require.Equal(t, first, part(3), "it is the same still")
	require.Equal(t, []uint64{3, 19, 20}, offered())
	require.Nil(t, part(18), "nobody has asked for it")
	require.EqualValues(t, 3, retains, "the blocks behind it are kept")

	for range 20 { // whoever lists them begins with the newest
		grow(l.height() + 1)
		require.LessOrEqual(t, len(offered()), 8)
	}
	require.NotContains(t, offered(), uint64(3), "there is an end")
	newest := uint64(l.height())
	grow(l.height() + 2)
	require.Contains(t, offered(), newest)
	grow(l.height() + 182) // of a second each
	require.Len(t, offered(), 2)
	require.Equal(t, l.height()-1, retains)
	l.close()
}

func TestOldBlocksMayGo(t *testing.T) {
	t.Parallel()
	l := grown(t)
	l.execute(4)
	resp, err := l.Commit(t.Context(), &abci.RequestCommit{})
	require.NoError(t, err)
	require.EqualValues(t, 3, resp.RetainHeight)
	l.close()
}
