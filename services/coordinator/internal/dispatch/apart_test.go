package dispatch_test

import (
	"database/sql"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// spoil runs a statement on the store behind the dispatcher's back.
func (w *world) spoil(statement string, args ...any) {
	w.t.Helper()
	db, err := sql.Open("sqlite", w.path)
	require.NoError(w.t, err)
	_, err = db.ExecContext(w.t.Context(), statement, args...)
	require.NoError(w.t, err)
	require.NoError(w.t, db.Close())
}

func (w *world) makeUnwritable(id aitbc.JobID) {
	w.t.Helper()
	w.spoil(`CREATE TRIGGER spoilt BEFORE UPDATE ON jobs WHEN OLD.id = x'` + hex.EncodeToString(id[:]) + `'
		BEGIN SELECT RAISE(ABORT, 'spoilt'); END`)
}

// One job whose payload cannot be read keeps no other from being handed out, and times out itself.
func TestOneUnreadablePayloadDoesNotHoldUpOthers(t *testing.T) {
	for name, statement := range map[string]string{
		"gone":    `DELETE FROM payloads WHERE job_id = ?`,
		"garbled": `UPDATE payloads SET options = '{' WHERE job_id = ?`,
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				w.paused = true
				w.restart()
				bad, good := w.queue(), w.queue()
				w.paused = false
				w.stop() // the payloads leave memory
				w.spoil(statement, bad.ID[:])
				w.start()
				w.connected(1, 1)
				pass(10 * time.Second)
				require.Equal(t, job.Leased, w.job(good.ID).Phase)
				pass(10 * time.Minute)
				require.NotEqual(t, job.Queued, w.job(bad.ID).Phase)
			})
		})
	}
}

// One job that cannot be written keeps no other from being handed out or from timing out.
func TestOneUnwritableJobDoesNotHoldUpOthers(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		bad, good, late := w.queue(), w.queue(), w.queue()
		w.makeUnwritable(bad.ID)
		miner := w.connected(1, 1)
		pass(time.Second)
		require.Equal(t, job.Leased, w.job(good.ID).Phase)
		require.Equal(t, good.ID, miner.lease().Job.ID)
		pass(time.Minute)
		require.Equal(t, job.Queued, w.job(bad.ID).Phase)
		require.Equal(t, job.Settling, w.job(late.ID).Phase)
		w.spoil(`DROP TRIGGER spoilt`)
		pass(time.Second)
		require.Equal(t, job.Settling, w.job(bad.ID).Phase, "it is tried again")
	})
}

// Settlement hands outcomes again one by one when they cannot be stored together, so that one which
// the store refuses holds up no other.
func TestOutcomesAreStoredTogetherOrNotAtAll(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		bad, good := w.queue(), w.submit()
		_, err := w.Cancel(t.Context(), clientID, bad.ID)
		require.NoError(t, err)
		w.makeUnwritable(bad.ID)
		outcomes := []job.Outcome{
			{JobID: bad.ID, Kind: job.RefundJob, Settlement: &job.Settlement{Refunded: bad.Order.MaxPrice, Height: 1, TxHash: aitbc.Hash{3}}},
			{JobID: good.ID, Kind: job.SubmitJob, EscrowTx: aitbc.Hash{9}},
		}
		require.Error(t, w.Settle(t.Context(), outcomes))
		require.Equal(t, job.Escrowing, w.job(good.ID).Phase)
		require.NoError(t, w.Settle(t.Context(), outcomes[1:]))
		require.Equal(t, job.Queued, w.job(good.ID).Phase)
		require.Error(t, w.Settle(t.Context(), outcomes[:1]))
		require.Equal(t, []job.Message{job.RefundJob}, w.owes(bad.ID), "it is still owed")
	})
}
