// Package fleet stands where the ledger stands, for people who share machines of their own: nothing
// costs anything, every client has all it needs, and a miner belongs to the fleet when the coordinator
// has a key for it.
//
// Invariants: no price, no stake, no balance is ever other than zero; whether a miner belongs is read
// from the store, and a key that was revoked lets no session begin any more after ten seconds.
// Start with Fleet.
package fleet

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

const (
	// settleAhead and expiryAhead bound the deadlines that orders have, for nobody: no timeout of the
	// contract comes near.
	settleAhead = 30 * 24 * time.Hour
	expiryAhead = time.Hour
	// believedFor is how long the list of keys is believed about a miner that is in it, and doubtedFor about one
	// that is not: that one may have got its key just now. To read the list costs a store some us a key.
	believedFor = 10 * time.Second
	doubtedFor  = 2 * time.Second
)

// Fleet implements dispatch.Ledger and session.Ledger without a ledger. It is safe for concurrent use.
type Fleet struct {
	keys store.Keys

	mu     sync.Mutex // guards all below
	miners map[aitbc.AccountID]bool
	read   time.Time // when miners was read
}

var _ dispatch.Ledger = (*Fleet)(nil)

// New makes a fleet of the miners that have a key in the store.
func New(keys store.Keys) *Fleet { return &Fleet{keys: keys} }

// ChainID gives what stands for a chain id in all that is signed: the operator's.
func ChainID(operator aitbc.AccountID) string { return "private-" + hex.EncodeToString(operator[:6]) }

// Terms implements dispatch.Ledger: nothing costs anything.
func (*Fleet) Terms(context.Context) (dispatch.Terms, error) {
	return dispatch.Terms{Now: time.Now().UTC(), MaxSettleAhead: settleAhead, MaxExpiryAhead: expiryAhead}, nil
}

// Funds implements dispatch.Ledger: nobody has anything, and nobody needs it.
func (*Fleet) Funds(context.Context, aitbc.AccountID) (dispatch.Funds, error) {
	return dispatch.Funds{}, nil
}

// MinerKey implements dispatch.Ledger: a miner's key is known from its session only.
func (*Fleet) MinerKey(_ context.Context, miner aitbc.AccountID) (ed25519.PublicKey, error) {
	return nil, job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND,
		"miner %s is not connected, and there is no ledger that knows its key", miner)
}

// Miner implements session.Ledger. It gives no key: the account is that of the key that the miner
// proves.
func (f *Fleet) Miner(ctx context.Context, id aitbc.AccountID) (ed25519.PublicKey, aitbc.Amount, error) {
	belongs, err := f.belongs(ctx, time.Now(), id)
	if err != nil {
		return nil, 0, err
	}
	if !belongs {
		return nil, 0, job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND,
			"%s has no key of scope miner: aitbcd coordinator keys create --ledger none --scope miner --account %s", id, id)
	}
	return nil, 0, nil
}

// PaysRunning implements session.Ledger: without a ledger nothing is paid, and a stopped answer is kept
// as far as it came.
func (*Fleet) PaysRunning() bool { return true }

// MinStake implements session.Ledger.
func (*Fleet) MinStake() (aitbc.Amount, error) { return 0, nil }

// belongs reports whether a miner has a live key of scope miner.
func (f *Fleet) belongs(ctx context.Context, now time.Time, id aitbc.AccountID) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	age := now.Sub(f.read)
	if age < doubtedFor || age < believedFor && f.miners[id] {
		return f.miners[id], nil
	}
	keys, err := f.keys.ListKeys(ctx)
	if err != nil {
		return false, fmt.Errorf("list the fleet's miners: %w", err)
	}
	f.miners, f.read = make(map[aitbc.AccountID]bool), now
	for _, k := range keys {
		if k.Scope == store.ScopeMiner && k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt)) {
			f.miners[k.Account] = true
		}
	}
	return f.miners[id], nil
}
