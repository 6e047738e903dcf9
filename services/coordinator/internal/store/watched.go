package store

import (
	"errors"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// watchedTx notes what a change did to the transaction that it shares with others: whether it
// wrote, and whether the store failed under it. Answers such as "not found" are neither.
type watchedTx struct {
	tx     Tx
	wrote  bool
	broken error
}

var _ Tx = (*watchedTx)(nil)

func (w *watchedTx) read(err error) error {
	if err != nil && w.broken == nil && !isAnswer(err) {
		w.broken = err
	}
	return err
}

func (w *watchedTx) write(err error) error {
	w.wrote = w.wrote || err == nil
	return w.read(err)
}

// isAnswer reports whether err is an answer of a working store, which by contract wrote nothing.
func isAnswer(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, job.ErrExists) || errors.Is(err, job.ErrMismatch)
}

func (w *watchedTx) Preload(ids ...aitbc.JobID) error { return w.read(w.tx.Preload(ids...)) }

func (w *watchedTx) Job(id aitbc.JobID) (job.Job, error) {
	j, err := w.tx.Job(id)
	return j, w.read(err)
}

func (w *watchedTx) InsertJob(j job.Job, p job.Payload) error { return w.write(w.tx.InsertJob(j, p)) }
func (w *watchedTx) UpdateJob(j job.Job) error                { return w.write(w.tx.UpdateJob(j)) }

func (w *watchedTx) KeepSteps(id aitbc.JobID, steps []job.Step) error {
	return w.write(w.tx.KeepSteps(id, steps))
}

func (w *watchedTx) PutResult(id aitbc.JobID, result string) error {
	return w.write(w.tx.PutResult(id, result))
}

func (w *watchedTx) Owe(id aitbc.JobID, kind job.Message) error { return w.write(w.tx.Owe(id, kind)) }

func (w *watchedTx) Paid(id aitbc.JobID, kind job.Message) error { return w.write(w.tx.Paid(id, kind)) }

func (w *watchedTx) Request(client aitbc.AccountID, requestID string) (Request, error) {
	r, err := w.tx.Request(client, requestID)
	return r, w.read(err)
}

func (w *watchedTx) PutRequest(client aitbc.AccountID, requestID string, r Request) error {
	return w.write(w.tx.PutRequest(client, requestID, r))
}

func (w *watchedTx) ForgetRequests(now time.Time, limit int) error {
	return w.write(w.tx.ForgetRequests(now, limit))
}

func (w *watchedTx) Spent(budget string, day Day) (aitbc.Amount, error) {
	spent, err := w.tx.Spent(budget, day)
	return spent, w.read(err)
}

func (w *watchedTx) Spend(budget string, day Day, amount aitbc.Amount) error {
	return w.write(w.tx.Spend(budget, day, amount))
}
