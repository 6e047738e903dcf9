package dispatch

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// playMiner is the one miner of a play.
var playMiner = aitbc.AccountID{9}

// play is a dispatcher with tiny windows on a store in memory, at which other things happen between a
// commit and memory's hearing of it, and while waiting jobs are read.
type play struct {
	*rapid.T
	*Dispatcher
	store *memoryStore
	next  byte
	depth int
	// flying are changes that are committed and of which memory has not heard.
	flying []*change
}

// memoryStore has jobs, all with the same payload. meanwhile is called when a commit or a read is done
// and has not returned yet.
type memoryStore struct {
	nothing
	jobs      map[aitbc.JobID]job.Job
	meanwhile func()
}

func (m *memoryStore) Commit(_ context.Context, fn func(store.Tx) error) error {
	err := fn(memoryTx{jobs: m.jobs})
	m.meanwhile()
	return err
}

// memoryTx is a transaction of a memoryStore.
type memoryTx struct {
	store.Tx
	jobs map[aitbc.JobID]job.Job
}

func (memoryTx) Preload(...aitbc.JobID) error            { return nil }
func (memoryTx) KeepSteps(aitbc.JobID, []job.Step) error { return nil }
func (memoryTx) Owe(aitbc.JobID, job.Message) error      { return nil }
func (memoryTx) Paid(aitbc.JobID, job.Message) error     { return nil }

func (m memoryTx) InsertJob(j job.Job, _ job.Payload) error { return m.UpdateJob(j) }

func (m memoryTx) UpdateJob(j job.Job) error {
	m.jobs[j.ID] = j
	return nil
}

func (m memoryTx) Job(id aitbc.JobID) (job.Job, error) {
	if j, ok := m.jobs[id]; ok {
		return j, nil
	}
	return job.Job{}, store.ErrNotFound
}

func (m *memoryStore) sorted(is func(job.Job) bool) (found []job.Job) {
	for _, j := range m.jobs {
		if is(j) {
			found = append(found, j)
		}
	}
	slices.SortFunc(found, func(a, b job.Job) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return found
}

func (m *memoryStore) Waiting(_ context.Context, q store.WaitingQuery) ([]job.Job, error) {
	found := m.sorted(func(j job.Job) bool {
		return j.Phase == job.Queued && lineOf(&j) == lineKey{q.Shard, lane{q.Model, q.Priority, q.Client}} && bytes.Compare(j.ID[:], q.After[:]) > 0
	})
	found = found[:min(len(found), q.Limit)]
	m.meanwhile()
	return found, nil
}

func (m *memoryStore) Payload(context.Context, aitbc.JobID) (job.Payload, error) {
	return job.Payload{}, nil
}

func (m *memoryStore) Payloads(_ context.Context, ids []aitbc.JobID) (map[aitbc.JobID]job.Payload, error) {
	payloads := make(map[aitbc.JobID]job.Payload)
	for _, id := range ids {
		payloads[id] = job.Payload{}
	}
	m.meanwhile()
	return payloads, nil
}

func (m *memoryStore) Due(_ context.Context, _ int32, now time.Time, limit int) ([]job.Job, error) {
	due := m.sorted(func(j job.Job) bool { return j.Phase == job.Queued && !now.Before(j.WaitsUntil()) })
	return due[:min(len(due), limit)], nil
}

func newPlay(t *rapid.T, window int) *play {
	p := &play{T: t, store: &memoryStore{jobs: make(map[aitbc.JobID]job.Job)}}
	p.store.meanwhile = func() { p.some(2) }
	config := DefaultConfig("chain")
	config.Window, config.Scheduler.NewcomerShare, config.Scheduler.BreakAfter = window, 0, 1000
	var err error
	p.Dispatcher, err = New(t.Context(), config, Deps{
		Store: p.store, Committer: p.store, Ledger: nothing{}, Outbox: p.store,
		Shards: []int32{1}, Operator: ed25519.NewKeyFromSeed(make([]byte, 32)), Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return p
}

// some does up to so many things, unless this happens within too many others.
func (p *play) some(most int) {
	if p.depth == 3 {
		return
	}
	p.depth++
	defer func() { p.depth-- }()
	for range rapid.IntRange(0, most).Draw(p.T, "things") {
		switch rapid.SampledFrom([]string{"submit", "submit", "move", "move", "move", "land", "land", "settle", "turn", "hold", "sweep"}).Draw(p.T, "thing") {
		case "submit":
			p.submit()
		case "move":
			p.move()
		case "land":
			p.land()
		case "settle":
			p.settleOne()
		case "turn":
			p.turnOnce()
		case "hold":
			p.hold()
		case "sweep":
			p.sweep()
		}
	}
}

// submit adds a job, whose id may come before those of others.
func (p *play) submit() {
	if p.next == 40 {
		return
	}
	p.next++
	id := aitbc.JobID{p.next ^ 3, p.next}
	client := aitbc.AccountID{byte(rapid.IntRange(1, 2).Draw(p.T, "client"))}
	j := job.Job{
		ID: id, Order: aitbc.Order{JobID: id, Client: client, MaxPrice: 5, ExecutionLimitUS: 1e6}, Model: "tiny:latest", Shard: 1, Phase: job.Escrowing,
		SubmittedAt: clock(), QueueTimeout: time.Hour, TotalTimeout: time.Hour, MaxAttempts: 3,
		Priority: aitbc.Priority(rapid.IntRange(0, 1).Draw(p.T, "priority")),
	}
	if rapid.IntRange(0, 4).Draw(p.T, "patience") == 0 {
		j.QueueTimeout = 0 // it is due as soon as it waits
	}
	e, err := p.reserve(j, job.Payload{})
	require.NoError(p.T, err)
	_, err = p.insert(p.Context(), SubmitRequest{}, aitbc.Hash{}, e, j, job.Payload{})
	require.NoError(p.T, err)
}

// land lets memory hear of a change that is committed.
func (p *play) land() {
	if len(p.flying) == 0 {
		return
	}
	i := rapid.IntRange(0, len(p.flying)-1).Draw(p.T, "flying")
	c := p.flying[i]
	p.flying = slices.Delete(p.flying, i, i+1)
	p.committed(p.Context(), []*change{c})
}

// move commits a step of some job, which may be refused.
func (p *play) move() {
	id, ok := p.anyJob(func(job.Job) bool { return true })
	if !ok {
		return
	}
	now := clock()
	steps := map[string]func(job.Job) (job.Job, job.Message, error){
		"escrowed":  func(j job.Job) (job.Job, job.Message, error) { return j.Escrowed(now, aitbc.Hash{}) },
		"cancelled": func(j job.Job) (job.Job, job.Message, error) { return j.Cancelled(now) },
		"settled":   func(j job.Job) (job.Job, job.Message, error) { return j.Settled(now, job.Settlement{}) },
		"failed": func(j job.Job) (job.Job, job.Message, error) {
			return j.AttemptFailed(now, j.Miner, j.Attempt, job.Failure{Reason: coordinatorv1.ErrorReason_ERROR_REASON_MINER_LOST})
		},
		"as it is": asItIs,
	}
	step := steps[rapid.SampledFrom([]string{"escrowed", "escrowed", "cancelled", "settled", "failed", "as it is"}).Draw(p.T, "step")]
	c := &change{id: id, step: step}
	p.pinAll([]*change{c})
	require.NoError(p.T, p.write(memoryTx{jobs: p.store.jobs}, c))
	p.flying = append(p.flying, c)
}

// settleOne applies that a job's escrow was made.
func (p *play) settleOne() {
	id, ok := p.anyJob(func(j job.Job) bool { return j.Phase == job.Escrowing })
	if !ok {
		return
	}
	require.NoError(p.T, p.Settle(p.Context(), []job.Outcome{{JobID: id, Kind: job.SubmitJob, EscrowTx: aitbc.Hash{1}}}))
}

// anyJob draws a job.
func (p *play) anyJob(is func(job.Job) bool) (aitbc.JobID, bool) {
	found := p.store.sorted(is)
	if len(found) == 0 {
		return aitbc.JobID{}, false
	}
	return found[rapid.IntRange(0, len(found)-1).Draw(p.T, "which")].ID, true
}

// hold keeps some job in memory for a while.
func (p *play) hold() {
	id, ok := p.anyJob(func(j job.Job) bool { return j.Phase != job.Done })
	if !ok {
		return
	}
	release, err := p.present(p.Context(), id)
	require.NoError(p.T, err)
	p.some(2)
	release()
}

// sweep looks for parked jobs that are due.
func (p *play) sweep() {
	p.sweepAt = time.Time{}
	changes, err := p.overdue(p.Context(), clock())
	require.NoError(p.T, err)
	require.NoError(p.T, p.commit(p.Context(), changes...))
}

// turnOnce is a turn as Run makes them: one at a time.
func (p *play) turnOnce() {
	depth := p.depth
	if p.depth = 2; depth > 1 { // within another thing it may be Run's only
		p.depth = depth
		return
	}
	_, err := p.turn(p.Context())
	p.depth = depth
	require.NoError(p.T, err)
}

// requireRight compares memory with the store.
func (p *play) requireRight() {
	parked := make(map[lineKey]int)
	live := make(map[aitbc.AccountID]int)
	inMemory, leased := 0, 0
	for _, j := range p.store.jobs {
		if j.Phase == job.Done {
			require.Nil(p.T, p.live[j.ID])
			continue
		}
		live[j.Order.Client]++
		e := p.live[j.ID]
		if e == nil {
			require.Equal(p.T, job.Queued, j.Phase, "only a waiting job is parked")
			key := lineOf(&j)
			parked[key]++
			require.NotNil(p.T, p.windows[key])
			require.Positive(p.T, bytes.Compare(j.ID[:], p.windows[key].read[:]), "a parked job is still to be read")
			continue
		}
		inMemory++
		if j.HasLease() {
			leased++
		}
		require.Zero(p.T, e.pins)
		require.Equal(p.T, j, e.job)
		require.Equal(p.T, j.Phase == job.Queued, p.scheduler.Waits(j.ID))
	}
	require.Equal(p.T, leased, p.scheduler.Standing(playMiner).Held, "a slot is taken by a lease and nothing else")
	require.Len(p.T, p.live, inMemory, "nothing but live jobs is in memory")
	total := 0
	for key, w := range p.windows {
		total += w.parked
		require.Equal(p.T, parked[key], w.parked)
		require.Equal(p.T, int64(w.parked)*tokensOf(job.Payload{}), w.tokens)
	}
	require.Equal(p.T, total, p.parked)
	for client, u := range p.used {
		require.Equal(p.T, live[client], u.jobs)
		// Those of a job that ended while the end of its line was read are taken for gone a moment early.
		require.LessOrEqual(p.T, u.tokens, int64(u.jobs)*tokensOf(job.Payload{}))
		require.GreaterOrEqual(p.T, u.tokens, int64(0))
	}
}

// TestNoWaitingJobIsLostOutOfMemory: whatever happens between commits and reads, memory has in the end
// what it should, and all that waits is handed out.
func TestNoWaitingJobIsLostOutOfMemory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := newPlay(t, rapid.IntRange(1, 3).Draw(t, "window"))
		miner := playMiner
		session := p.MinerConnected(Registration{ID: miner, Link: deafLink{}})
		state := MinerState{Slots: rapid.IntRange(0, 3).Draw(t, "slots"), Models: []*coordinatorv1.MinerModel{{Name: "tiny:latest", Digest: aitbc.Hash{1}.String()}}}
		require.NoError(t, p.MinerState(t.Context(), miner, session, state))
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			p.some(5)
			for len(p.flying) > 0 {
				p.land()
			}
			p.requireRight()
		}
		p.depth = 3 // nothing else happens any more
		state.Slots = 100
		require.NoError(t, p.MinerState(t.Context(), miner, session, state))
		for range 100 {
			_, err := p.turn(t.Context())
			require.NoError(t, err)
		}
		p.sweep()
		p.requireRight()
		waiting := p.store.sorted(func(j job.Job) bool { return j.Phase == job.Queued && !slices.Contains(j.Excluded, miner) })
		require.Empty(t, waiting)
	})
}
