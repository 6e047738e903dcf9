package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// Bench measures whole jobs through a Committer: each is six changes (submitted, escrowed, leased,
// started, accepted, settled), of which all but the first read the job before they write it.
// An operation is a job. Reported besides: changes per second, flushes per job, and the share of
// the time that flushes take of all.
func Bench(b *testing.B, empty func(t testing.TB) Database) {
	for _, submitters := range []int{1, 64, 1000} {
		b.Run(fmt.Sprintf("submitters=%d", submitters), func(b *testing.B) {
			benchJobs(b, empty(b).Open(b), submitters)
		})
	}
}

func benchJobs(b *testing.B, st store.Store, submitters int) {
	var flushes, changes atomic.Int64
	var flushing atomic.Int64
	config := store.DefaultCommitterConfig()
	config.Flushed = func(f store.Flush) {
		flushes.Add(1)
		changes.Add(int64(f.Changes))
		flushing.Add(int64(f.Took))
	}
	committer, err := store.NewCommitter(st, config)
	require.NoError(b, err)
	ctx, stop := context.WithCancel(b.Context())
	var loop, group errgroup.Group
	loop.Go(func() error { return committer.Run(ctx) })
	var next atomic.Int64
	b.ResetTimer()
	for range submitters {
		group.Go(func() error {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := liveOneJob(b.Context(), committer, int(n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(b, group.Wait())
	b.StopTimer()
	took := b.Elapsed().Seconds()
	stop()
	require.NoError(b, loop.Wait())
	b.ReportMetric(float64(changes.Load())/took, "changes/s")
	b.ReportMetric(float64(flushes.Load())/float64(b.N), "flushes/job")
	b.ReportMetric(100*time.Duration(flushing.Load()).Seconds()/took, "%in-flushes")
}

// liveOneJob takes the n-th job from submit to done.
func liveOneJob(ctx context.Context, committer *store.Committer, n int) error {
	submitted := newJob(n, accountOf(n%100))
	for i := range 8 { // more ids than idOf has
		submitted.ID[8+i%7] = byte(n >> (8 * (i % 4)))
	}
	submitted.Order.JobID = submitted.ID
	id, miner, signature := submitted.ID, accountOf(5000), make([]byte, 64)
	steps := []func(j job.Job) (job.Job, job.Message, error){
		func(j job.Job) (job.Job, job.Message, error) { return j.Escrowed(epoch(), aitbc.Hash{1}) },
		func(j job.Job) (job.Job, job.Message, error) {
			j, owed, err := j.LeasedTo(epoch(), miner, aitbc.Hash{2})
			j.LeaseSignature = signature
			return j, owed, err
		},
		func(j job.Job) (job.Job, job.Message, error) { return j.Started(epoch(), miner, 1) },
		func(j job.Job) (job.Job, job.Message, error) {
			return j.Accepted(job.Completion{
				Statement: aitbc.Statement{ChainID: "test", JobID: id, Attempt: 1, Model: j.Model, Engine: "ollama"},
				Signature: signature, MinerKey: signature[:32], MeteredUS: 1000, OperatorUS: 2000, AcceptanceSignature: signature, At: epoch(),
			})
		},
		func(j job.Job) (job.Job, job.Message, error) {
			return j.Settled(epoch(), job.Settlement{Paid: 20, Refunded: j.Order.MaxPrice - 20, Height: 7, BlockTime: epoch(), HasReceipt: true})
		},
	}
	err := committer.Commit(ctx, func(tx store.Tx) error {
		if err := tx.InsertJob(submitted, job.Payload{Prompt: "What is machine learning?"}); err != nil {
			return err
		}
		return tx.Owe(id, job.SubmitJob)
	})
	for i := 0; err == nil && i < len(steps); i++ {
		err = committer.Commit(ctx, func(tx store.Tx) error { return applyStep(tx, id, steps[i]) })
	}
	return err
}

func applyStep(tx store.Tx, id aitbc.JobID, step func(job.Job) (job.Job, job.Message, error)) error {
	before, err := tx.Job(id)
	if err != nil {
		return err
	}
	after, owed, err := step(before)
	if err != nil {
		return err
	}
	if err := tx.UpdateJob(after); err != nil {
		return err
	}
	switch {
	case before.Phase == job.Escrowing:
		return tx.Paid(id, job.SubmitJob)
	case after.Phase == job.Done:
		return tx.Paid(id, job.RecordReceipt)
	case owed == job.RecordReceipt:
		if err := tx.PutResult(id, "Machine learning is a subset of artificial intelligence."); err != nil {
			return err
		}
	}
	if owed == job.None {
		return nil
	}
	return tx.Owe(id, owed)
}
