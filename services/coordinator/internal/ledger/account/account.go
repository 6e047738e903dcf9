// Package account answers dispatch's questions to the ledger before it takes a job or a miner: the
// terms that orders must respect, what a client may spend, who a miner is. Settlement asks it
// whether a client can really not pay.
//
// Invariants: the terms cost no call; an account costs at most two a block; an answer is never
// older than any escrow whose outcome was reported, so that money is not counted as free once it
// has left the list of what waits. Start with Reader.
package account

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
)

// maxAccounts bounds the accounts that are remembered.
const maxAccounts = 10_000

// Reader reads accounts and terms. It is safe for concurrent use.
type Reader struct {
	client   *ledger.Client
	operator aitbc.AccountID

	mu    sync.Mutex
	known map[aitbc.AccountID]reading
}

var _ dispatch.Ledger = (*Reader)(nil)

// reading is what the ledger said of an account at or after a height.
type reading struct {
	height int64
	funds  dispatch.Funds
}

// NewReader gives the reader of accounts that let operator escrow for them.
func NewReader(client *ledger.Client, operator aitbc.AccountID) *Reader {
	return &Reader{client: client, operator: operator, known: make(map[aitbc.AccountID]reading)}
}

// Terms gives the ledger's clock and what an order must respect, by the last block seen. Errors:
// *ledger.UnavailableError.
func (r *Reader) Terms(context.Context) (dispatch.Terms, error) {
	head, err := r.client.Head()
	if err != nil {
		return dispatch.Terms{}, err
	}
	p := head.Params
	return dispatch.Terms{
		Now:            head.LedgerTime,
		Price:          aitbc.Amount(p.GetDefaultPriceUaitbc()),
		MinPrice:       aitbc.Amount(p.GetMinPriceUaitbc()),
		MaxPrice:       aitbc.Amount(p.GetMaxPriceUaitbc()),
		MinGrace:       microseconds(p.GetMinGraceUs()),
		MaxSettleAhead: microseconds(p.GetMaxSettleAheadUs()),
		MaxExpiryAhead: microseconds(p.GetMaxExpiryAheadUs()),
	}, nil
}

func microseconds(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

// Funds gives what an account has. One that is not on the ledger has nothing. Errors:
// *ledger.UnavailableError, *ledger.QueryError.
func (r *Reader) Funds(ctx context.Context, client aitbc.AccountID) (dispatch.Funds, error) {
	head, err := r.client.Head()
	if err != nil {
		return dispatch.Funds{}, err
	}
	height := r.client.Height()
	r.mu.Lock()
	known, ok := r.known[client]
	r.mu.Unlock()
	if ok && known.height >= height {
		return known.funds, nil
	}
	funds, err := r.ask(ctx, client, head.LedgerTime)
	if err != nil {
		return dispatch.Funds{}, fmt.Errorf("read funds of %s: %w", client, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxAccounts {
		clear(r.known) // all are stale at the next block anyway
	}
	if r.known[client].height <= height {
		r.known[client] = reading{height, funds}
	}
	return funds, nil
}

func (r *Reader) ask(ctx context.Context, client aitbc.AccountID, now time.Time) (dispatch.Funds, error) {
	entry, err := r.client.Account(ctx, client)
	if errors.Is(err, ledger.ErrNotFound) {
		return dispatch.Funds{}, nil
	}
	if err != nil {
		return dispatch.Funds{}, err
	}
	funds := dispatch.Funds{Balance: aitbc.Amount(entry.GetBalanceUaitbc())}
	if key := entry.GetPublicKey(); len(key) == ed25519.PublicKeySize {
		funds.Key = key
	}
	grant, err := r.client.Allowance(ctx, client, r.operator)
	if errors.Is(err, ledger.ErrNotFound) {
		return funds, nil
	}
	if err != nil {
		return dispatch.Funds{}, err
	}
	funds.Allowance, funds.PerJob = allowance(grant, now), aitbc.Amount(grant.GetPerJobUaitbc())
	return funds, nil
}

// allowance gives what is left of a grant now, its expiry and its day's limit counted.
func allowance(grant *ledgerv1.Allowance, now time.Time) aitbc.Amount {
	if expires := grant.GetExpiresUs(); expires != 0 && now.After(time.UnixMicro(expires)) {
		return 0
	}
	left := grant.GetRemainingUaitbc()
	if day := grant.GetPerDayUaitbc(); day > 0 {
		left = min(left, day-grant.GetSpentTodayUaitbc())
	}
	return aitbc.Amount(max(left, 0))
}

// Covers reports whether a job's client can pay for its escrow, by its balance and, unless it signed
// the order, its allowance. Errors: those of Funds.
func (r *Reader) Covers(ctx context.Context, j job.Job) (bool, error) {
	funds, err := r.Funds(ctx, j.Order.Client)
	if err != nil {
		return false, err
	}
	need := j.Order.MaxPrice
	if len(j.OrderSignature) > 0 {
		return need <= funds.Balance, nil
	}
	return need <= min(funds.Balance, funds.Allowance) && (funds.PerJob == 0 || need <= funds.PerJob), nil
}

// MinerKey gives the public key of a registered miner. Errors: MINER_NOT_FOUND,
// *ledger.UnavailableError, *ledger.QueryError.
func (r *Reader) MinerKey(ctx context.Context, miner aitbc.AccountID) (ed25519.PublicKey, error) {
	key, _, err := r.Miner(ctx, miner)
	return key, err
}

// Miner gives a registered miner's public key and stake. Errors: those of MinerKey.
func (r *Reader) Miner(ctx context.Context, miner aitbc.AccountID) (ed25519.PublicKey, aitbc.Amount, error) {
	entry, err := r.client.Miner(ctx, miner)
	if errors.Is(err, ledger.ErrNotFound) || (err == nil && len(entry.GetPublicKey()) != ed25519.PublicKeySize) {
		return nil, 0, job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND,
			"%s is not a miner registered on the ledger", miner)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read miner %s: %w", miner, err)
	}
	return entry.GetPublicKey(), aitbc.Amount(entry.GetStakeUaitbc()), nil
}

// MinStake gives the stake below which a miner is given no work. Errors: *ledger.UnavailableError.
func (r *Reader) MinStake() (aitbc.Amount, error) {
	head, err := r.client.Head()
	return aitbc.Amount(head.Params.GetMinStakeUaitbc()), err
}

// rulesRunning are the ledger's first rules that know running statements (docs/ledger.md).
const rulesRunning = 2

// PaysRunning reports whether the ledger's rules, by the last block seen, know running statements.
func (r *Reader) PaysRunning() bool {
	head, err := r.client.Head()
	return err == nil && head.Params.GetRulesVersion() >= rulesRunning
}
