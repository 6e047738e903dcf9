package postgres

import (
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

type requestKey struct {
	client aitbc.AccountID
	id     string
}

// request is an idempotency key in a run.
type request struct {
	// now is what fn sees, in what the database has; nil: nothing.
	now, in *store.Request
	// believed says that in is nil because nothing is known of it, read that fn was told so.
	believed, read bool
	// changed says that now is to be written.
	changed bool
}

// Request implements store.Tx.
func (t *tx) Request(client aitbc.AccountID, requestID string) (store.Request, error) {
	key := requestKey{client, requestID}
	r, err := t.request(key)
	if err == nil && r.believed && !r.read {
		r.read = true
		t.askedFor = append(t.askedFor, key)
	}
	if err == nil && r.now == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Request{}, fmt.Errorf("read request %q: %w", requestID, err)
	}
	return *r.now, nil
}

const selectRequest = `SELECT hash, job_id, expires_us FROM requests WHERE client = $1 AND request_id = $2`

func (t *tx) request(key requestKey) (*request, error) {
	if r := t.requests[key]; r != nil {
		return r, nil
	}
	if t.believe(belief{about: requestAbsent, client: key.client, requestID: key.id}) {
		t.requests[key] = &request{believed: true}
		return t.requests[key], nil
	}
	if t.forgetLimit > 0 {
		if err := t.flush(); err != nil {
			return nil, err
		}
	}
	if err := t.toRead(); err != nil {
		return nil, err
	}
	var in store.Request
	err := t.conn.QueryRow(t.ctx, selectRequest, key.client[:], []byte(key.id)).
		Scan(toFixed(in.Hash[:]), (*[16]byte)(&in.JobID), toInstant(&in.ExpiresAt))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		t.requests[key] = &request{}
	case err != nil:
		return nil, err
	default:
		t.requests[key] = &request{now: &in, in: &in}
		t.expires(in.ExpiresAt)
	}
	return t.requests[key], nil
}

// PutRequest implements store.Tx.
func (t *tx) PutRequest(client aitbc.AccountID, requestID string, r store.Request) error {
	_, err := t.existing(r.JobID)
	var before *request
	if err == nil {
		before, err = t.request(requestKey{client, requestID})
	}
	if err == nil {
		r.ExpiresAt = store.Moment(r.ExpiresAt)
		if !before.changed {
			t.put = append(t.put, requestKey{client, requestID})
		}
		before.now, before.changed = &r, true
		t.expires(r.ExpiresAt)
		err = t.wrote(len(requestID))
	}
	if err != nil {
		return fmt.Errorf("put request %q: %w", requestID, err)
	}
	return nil
}

// ForgetRequests implements store.Tx.
func (t *tx) ForgetRequests(now time.Time, limit int) error {
	if err := t.forgetRequests(now, limit); err != nil {
		return fmt.Errorf("forget requests: %w", err)
	}
	return nil
}

func (t *tx) forgetRequests(now time.Time, limit int) error {
	// A batch forgets before it puts. So what has been put and has expired is written first, which
	// only a life of no time at all brings about.
	hit := !t.firstExpiry.IsZero() && !t.firstExpiry.After(now)
	if hit {
		if err := t.flush(); err != nil {
			return err
		}
	}
	t.forgetNow, t.forgetLimit = later(t.forgetNow, now), t.forgetLimit+limit
	if !hit {
		return t.wrote(0)
	}
	if err := t.flush(); err != nil {
		return err
	}
	clear(t.requests)
	t.firstExpiry = time.Time{}
	return nil
}

// expires notes when a request that this run knows expires.
func (t *tx) expires(at time.Time) {
	if t.firstExpiry.IsZero() || at.Before(t.firstExpiry) {
		t.firstExpiry = at
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
