package dispatch_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/coordinator/internal/stream"
)

// beside starts a second dispatcher on the store of the first, with another shard.
func (w *world) beside() *world { return w.besideWith(2) }

func (w *world) besideWith(shards ...int32) *world {
	w.t.Helper()
	other := &world{t: w.t, store: w.store, ledger: w.ledger, config: w.config}
	committer, err := store.NewCommitter(w.store, store.DefaultCommitterConfig())
	require.NoError(w.t, err)
	other.Dispatcher, err = dispatch.New(w.t.Context(), w.config, dispatch.Deps{
		Store: w.store, Committer: committer, Ledger: w.ledger, Outbox: w.ledger, Shards: shards, Takes: true,
		Operator: operatorKey, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { require.NoError(w.t, committer.Run(ctx)) })
	running.Go(func() { require.NoError(w.t, other.Run(ctx)) })
	other.stop = func() { cancel(); running.Wait() }
	return other
}

func TestAReplicaWithFreeSlotsTakesWhatWaitsElsewhere(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		other := w.beside()
		defer other.stop()
		j := w.queue()
		watcher, err := w.Watch(t.Context(), j.ID, "key", stream.Cursor{})
		require.NoError(t, err)
		defer watcher.Close()
		_, err = watcher.Next(t.Context())
		require.NoError(t, err)

		took, err := other.Relieve(t.Context(), []int32{1})
		require.NoError(t, err)
		require.Empty(t, took, "it has no miner")
		p := other.connected(1, 2)
		took, err = other.Relieve(t.Context(), []int32{1})
		require.NoError(t, err)
		require.Equal(t, map[int32][]aitbc.JobID{1: {j.ID}}, took)
		require.EqualValues(t, 2, other.job(j.ID).Shard)

		// Whoever had it is told no, forgets it, and sends its watchers away.
		_, err = w.Cancel(t.Context(), clientID, j.ID)
		require.ErrorIs(t, err, dispatch.ErrElsewhere)
		require.Empty(t, w.Stats().Live)
		_, err = watcher.Next(t.Context())
		require.ErrorIs(t, err, dispatch.ErrElsewhere)

		require.Equal(t, job.Settling, p.finish(p.lease()).Phase)
	})
}

func TestAMinerBringsItsLeasesToTheReplicaThatItComesTo(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		other := w.beside()
		defer other.stop()
		p := w.connected(1, 1)
		w.queue()
		h := p.lease()
		p.begin(h)

		moved := other.miner(1, 1)
		moved.state.Running = []string{h.Job.ID.LeaseID(h.Job.Attempt)}
		moved.connect()
		require.EqualValues(t, 2, other.job(h.Job.ID).Shard)
		require.NoError(t, w.Recheck(t.Context()))
		require.Empty(t, w.Stats().Live)
		_, revoked := moved.got()
		require.Empty(t, revoked, "it goes on")
		pass(1)
		done, err := other.Complete(t.Context(), p.id, p.statement(h, answer))
		require.NoError(t, err)
		require.Equal(t, job.Settling, done.Phase)
	})
}

func TestAShardOfADeadReplicaGoesOn(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		other := w.beside()
		waiting, escrowing := w.queue(), w.submit()
		err := w.Settle(t.Context(), []job.Outcome{{JobID: escrowing.ID, Kind: job.SubmitJob}})
		require.NoError(t, err)
		third := other.submit()
		require.ErrorIs(t, w.Settle(t.Context(), []job.Outcome{{JobID: third.ID, Kind: job.SubmitJob}}), dispatch.ErrElsewhere)
		other.stop()

		require.NoError(t, w.Take(t.Context(), 2))
		w.settle()
		p := w.connected(1, 3)
		synctest.Wait()
		leases, _ := p.got()
		require.Len(t, leases, 3)
		require.True(t, w.Has(waiting.Shard) && w.Has(third.Shard))
	})
}

// One that took over from another, and is started again before it is missed, has both shards from its start.
func TestAReplicaBeginsWithSeveralShards(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		p := w.connected(1, 1)
		w.queue()
		held, other := p.lease(), w.beside()
		p.begin(held)
		owed := other.submit()
		other.stop()

		both := w.besideWith(2, 1)
		defer both.stop()
		moved := both.miner(1, 1)
		moved.state.Running = []string{held.Job.ID.LeaseID(held.Job.Attempt)}
		moved.connect()
		pass(1)
		done, err := both.Complete(t.Context(), p.id, p.statement(held, answer))
		require.NoError(t, err)
		require.Equal(t, job.Settling, done.Phase)
		both.settle()
		require.Equal(t, owed.ID, moved.lease().Job.ID)
	})
}

func TestAModelThatOnlyMinersElsewhereHaveIsAModel(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.SetOthers(dispatch.Others{Models: map[string][]aitbc.Hash{tiny: {digest}}})
		w.submit()
		r := request()
		r.Model = "other"
		_, err := w.Submit(t.Context(), r)
		var refused *job.Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND, refused.Why)
	})
}
