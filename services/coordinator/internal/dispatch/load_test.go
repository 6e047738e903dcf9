package dispatch_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/coordinator/internal/store/sqlite"
)

// settler is the outbox that settles at once what it is told of.
type settler struct {
	*ledgerFake
	wake chan struct{}
}

func (s *settler) Decide(aitbc.JobID, job.Message) (job.Outcome, bool) { return job.Outcome{}, false }

func (s *settler) Notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *settler) run(ctx context.Context, t *testing.T, st *sqlite.Store, d *dispatch.Dispatcher) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for {
			owed, err := st.Outbox(ctx, 0, 100)
			if err != nil || len(owed) == 0 {
				break
			}
			outcomes := make([]job.Outcome, len(owed))
			for i, o := range owed {
				outcomes[i] = outcomeOf(o)
			}
			if err := d.Settle(ctx, outcomes); err != nil && ctx.Err() == nil {
				t.Errorf("settle: %v", err)
			}
		}
	}
}

// slots watches that a miner never has more leases at once than slots.
type slots struct {
	*player
	t     *testing.T
	limit int

	busyMu sync.Mutex
	busy   int
}

func (s *slots) run(h dispatch.Handover) {
	s.busyMu.Lock()
	s.busy++
	if s.busy > s.limit {
		s.t.Errorf("%d leases at once, want at most %d", s.busy, s.limit)
	}
	s.busyMu.Unlock()
	if _, err := s.w.StartAttempt(s.t.Context(), s.id, h.Job.ID, h.Job.Attempt); err != nil {
		s.t.Errorf("start: %v", err)
	}
	result := s.statement(h, answer, func(st *aitbc.Statement) { st.ComputeUS = 0 })
	s.busyMu.Lock()
	s.busy-- // once its result is on the way the slot may be given again
	s.busyMu.Unlock()
	if _, err := s.w.Complete(s.t.Context(), s.id, result); err != nil {
		s.t.Errorf("complete: %v", err)
	}
}

func TestManyClientsAndMinersAtOnce(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "coordinator.db"))
	require.NoError(t, err)
	committer, err := store.NewCommitter(st, store.DefaultCommitterConfig())
	require.NoError(t, err)
	out := &settler{ledgerFake: newLedgerFake(), wake: make(chan struct{}, 1)}
	out.balance = 1_000_000 * aitbc.UnitsPerCoin
	d, err := dispatch.New(t.Context(), dispatch.DefaultConfig(chain), dispatch.Deps{
		Store: st, Committer: committer, Ledger: out, Outbox: out,
		Shards: []int32{1}, Operator: operatorKey, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = committer.Run(ctx) })
	running.Go(func() { _ = d.Run(ctx) })
	running.Go(func() { out.run(ctx, t, st, d) })
	defer func() {
		cancel()
		running.Wait()
		require.NoError(t, st.Close())
	}()

	w := &world{Dispatcher: d, t: t}
	var players []*slots
	for n := range byte(5) {
		s := &slots{player: w.miner(n+1, 3), t: t, limit: 3}
		s.onLease = s.run
		s.session = d.MinerConnected(dispatch.Registration{ID: s.id, Key: s.key.Public().(ed25519.PublicKey), Stake: 5, Link: s})
		require.NoError(t, d.MinerState(t.Context(), s.id, s.session, s.state))
		players = append(players, s)
	}
	const clients, each = 8, 25
	var clientsDone sync.WaitGroup
	for range clients {
		clientsDone.Go(func() {
			for range each {
				if _, err := d.Submit(t.Context(), request()); err != nil {
					t.Errorf("submit: %v", err)
				}
			}
		})
	}
	clientsDone.Wait()
	require.Eventually(t, func() bool {
		counts, err := st.CountByStatus(t.Context())
		return err == nil && counts[job.StatusCompleted] == clients*each
	}, time.Minute, 10*time.Millisecond)
	// The dispatcher learns of a commit a moment after those who read the store.
	require.Eventually(t, func() bool { return len(d.Stats().Live) == 0 }, time.Minute, time.Millisecond)
	for _, s := range players {
		s.working.Wait()
	}
}
