package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/coordinator/internal/store/postgres"
	"github.com/aitbc/aitbc/tools/postgres/postgrestest"
)

func now() time.Time { return time.UnixMicro(7).UTC() }

// step takes a job one step further, as the dispatcher does: a step that is not allowed is an
// answer, which it gives.
func step(t *testing.T, st store.Store, id aitbc.JobID, take func(j job.Job) (job.Job, job.Message, error)) (refused error) {
	t.Helper()
	require.NoError(t, st.Update(t.Context(), func(tx store.Tx) error {
		before, err := tx.Job(id)
		if err != nil {
			return err
		}
		var after job.Job
		if after, _, refused = take(before); refused != nil {
			return nil //nolint:nilerr // an answer
		}
		return tx.UpdateJob(after)
	}))
	return refused
}

func escrowed(j job.Job) (job.Job, job.Message, error) { return j.Escrowed(now(), aitbc.Hash{1}) }

func leasedTo(miner byte) func(j job.Job) (job.Job, job.Message, error) {
	return func(j job.Job) (job.Job, job.Message, error) {
		return j.LeasedTo(now(), aitbc.AccountID{miner}, aitbc.Hash{2})
	}
}

func TestReplicasThatStartTogetherMigrateOnce(t *testing.T) {
	t.Parallel()
	address := postgrestest.Start(t)
	var group errgroup.Group
	for range 4 {
		group.Go(func() error {
			st, err := postgres.Open(t.Context(), address)
			if err != nil {
				return err
			}
			return st.Close()
		})
	}
	require.NoError(t, group.Wait())
	version, err := postgres.Migrate(t.Context(), address)
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(version), ask(t, address, "SELECT count(*)::text FROM store_version"))
}

func TestStoreOfANewerProgramIsRefused(t *testing.T) {
	t.Parallel()
	address := postgrestest.Start(t)
	require.NoError(t, openStore(t, address).Close())
	execute(t, address, "INSERT INTO store_version (version) VALUES (999)")
	_, err := postgres.Open(t.Context(), address)
	require.ErrorContains(t, err, "version 999")
}

func TestOpeningAnUpToDateStoreChangesNoTable(t *testing.T) {
	t.Parallel()
	address := postgrestest.Start(t)
	require.NoError(t, openStore(t, address).Close())
	execute(t, address, `CREATE ROLE limited LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO limited`)
	st := openStore(t, withParameter(t, address, "user", "limited"))
	require.NoError(t, st.Update(t.Context(), insert(victimJob(1, 1))))
}

func TestAnotherReplicasWriteIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	address := postgrestest.Start(t)
	first, second := openStore(t, address), openStore(t, address)
	id := victimJob(1, 1).ID
	require.NoError(t, first.Update(t.Context(), insert(victimJob(1, 1))))
	require.NoError(t, step(t, first, id, escrowed)) // from here it is in the first one's memory

	require.NoError(t, step(t, second, id, leasedTo(7)))
	require.ErrorIs(t, step(t, first, id, leasedTo(8)), step(t, second, id, leasedTo(8)), "it hears that the job is leased")

	j, err := first.Job(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, aitbc.AccountID{7}, j.Miner)
	require.EqualValues(t, 1, j.Attempt)
}

func TestAStaleAnswerIsNotGivenToAChangeThatOnlyReads(t *testing.T) {
	t.Parallel()
	address := postgrestest.Start(t)
	first, second := openStore(t, address), openStore(t, address)
	id := victimJob(1, 1).ID
	require.NoError(t, first.Update(t.Context(), insert(victimJob(1, 1))))
	require.NoError(t, step(t, second, id, escrowed))
	var seen job.Job
	require.NoError(t, first.Update(t.Context(), func(tx store.Tx) (err error) {
		seen, err = tx.Job(id)
		return err
	}))
	require.Equal(t, job.Queued, seen.Phase)
	failed := errors.New("for a reason that is not so")
	require.NoError(t, step(t, second, id, leasedTo(7)))
	err := first.Update(t.Context(), func(tx store.Tx) error {
		if j, err := tx.Job(id); err != nil || j.Phase != job.Leased {
			return errors.Join(failed, err)
		}
		return nil
	})
	require.NoError(t, err)
}

// Replicas that lease the same jobs at once: each job gets exactly one lease, whoever wins, and no
// replica fails over it.
func TestReplicasRaceForTheSameJobs(t *testing.T) {
	t.Parallel()
	address := postgrestest.Start(t)
	const replicas, jobs = 3, 40
	stores := make([]store.Store, replicas)
	for i := range stores {
		stores[i] = openStore(t, address)
	}
	for n := range jobs {
		require.NoError(t, stores[n%replicas].Update(t.Context(), insert(victimJob(1, n))))
		require.NoError(t, step(t, stores[(n+1)%replicas], victimJob(1, n).ID, escrowed))
	}
	won := make([][]aitbc.JobID, replicas)
	var group errgroup.Group
	for replica, st := range stores {
		group.Go(func() error {
			for from := range 10 { // four jobs a transaction, in another order for each
				var mine []aitbc.JobID
				err := st.Update(t.Context(), func(tx store.Tx) error {
					mine = nil
					for i := range 4 {
						id := victimJob(1, (from*4+i*(replica*2+1)%4)%jobs).ID
						before, err := tx.Job(id)
						if err != nil {
							return err
						}
						after, _, refused := before.LeasedTo(now(), aitbc.AccountID{byte(replica + 1)}, aitbc.Hash{2})
						if refused != nil {
							continue
						}
						if err := tx.UpdateJob(after); err != nil {
							return err
						}
						mine = append(mine, id)
					}
					return nil
				})
				if err != nil {
					return fmt.Errorf("replica %d: %w", replica, err)
				}
				won[replica] = append(won[replica], mine...)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	total := 0
	for replica, ids := range won {
		total += len(ids)
		for _, id := range ids {
			j, err := stores[0].Job(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, aitbc.AccountID{byte(replica + 1)}, j.Miner, "who was told that it won has won")
			require.EqualValues(t, 1, j.Attempt)
		}
	}
	require.Equal(t, jobs, total)
}

func TestReplicasThatGetTheSameRequestMakeOneJob(t *testing.T) {
	t.Parallel()
	address := postgrestest.Start(t)
	stores := []store.Store{openStore(t, address), openStore(t, address)}
	for round := range 20 {
		made := make([]aitbc.JobID, len(stores))
		var group errgroup.Group
		for replica, st := range stores {
			group.Go(func() error {
				j := victimJob(replica, round)
				return st.Update(t.Context(), func(tx store.Tx) error {
					key := fmt.Sprint("request ", round)
					if earlier, err := tx.Request(j.Order.Client, key); !errors.Is(err, store.ErrNotFound) {
						made[replica] = earlier.JobID
						return err
					}
					made[replica] = j.ID
					if err := insert(j)(tx); err != nil {
						return err
					}
					return tx.PutRequest(j.Order.Client, key, store.Request{JobID: j.ID, ExpiresAt: now()})
				})
			})
		}
		require.NoError(t, group.Wait())
		require.Equal(t, made[0], made[1])
	}
	live, err := stores[0].Live(t.Context(), aitbc.JobID{}, 999)
	require.NoError(t, err)
	require.Len(t, live, 20)
}

// TestAShardWithoutJobsEndsWithItsReplica: else each restart would leave one behind.
func TestAShardWithoutJobsEndsWithItsReplica(t *testing.T) {
	t.Parallel()
	address := postgrestest.Start(t)
	join := func(name string) (*postgres.Store, []int32) {
		st := openStore(t, address)
		m, err := st.Join(t.Context(), store.Replica{Name: name, Address: name}, time.Hour)
		require.NoError(t, err)
		return st, m.Duties
	}
	stays, duties := join("stays")
	require.Equal(t, []int32{store.Settling, 1}, duties)
	held := func() []int32 {
		m, err := stays.Beat(t.Context())
		require.NoError(t, err)
		return m.Duties
	}
	for n, phase := range []job.Phase{"", job.Queued, job.Leased, job.Escrowing} {
		leaves, duties := join(fmt.Sprintf("leaves %d", n))
		shard := duties[0]
		_, next := join(fmt.Sprintf("last %d", n)) // the last shard stays in any case
		require.Greater(t, next[0], shard, "a number is never used twice")
		if phase != "" {
			j := job.Job{
				ID: aitbc.JobID{byte(n)}, Order: aitbc.Order{Client: aitbc.AccountID{1}}, Phase: job.Escrowing, MaxAttempts: 3, Shard: shard,
				SubmittedAt: now(), Model: "tiny:latest", QueueTimeout: time.Hour, TotalTimeout: time.Hour,
			}
			require.NoError(t, leaves.Update(t.Context(), func(tx store.Tx) error {
				return errors.Join(tx.InsertJob(j, job.Payload{}), tx.Owe(j.ID, job.SubmitJob))
			}))
			if phase != job.Escrowing {
				require.NoError(t, leaves.Update(t.Context(), func(tx store.Tx) error { return tx.Paid(j.ID, job.SubmitJob) }))
				require.NoError(t, step(t, leaves, j.ID, escrowed))
			}
			if phase == job.Leased {
				require.NoError(t, step(t, leaves, j.ID, leasedTo(5)))
			}
		}
		require.NoError(t, leaves.Leave(t.Context()))
		require.Equal(t, phase != "", slices.Contains(held(), shard), "with a job: %q", phase)
	}
}
