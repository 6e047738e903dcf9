// Package ledgertest is a ledger in memory for tests: it answers like a CometBFT node with our
// application behind it, as the contracts in aitbc.ledger.v1 say, and can be made to fail as real
// ones do.
//
// It is a double of the application's outside, not of its insides: no hashes, no registration, no
// stake. Invariant: no unit appears or vanishes (Chain.Supply). Start with New.
package ledgertest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	ctypes "github.com/cometbft/cometbft/rpc/core/types"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
)

// Genesis is the ledger's time at height 1.
var Genesis = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// ErrAway is what every call fails with while the node is away.
var ErrAway = errors.New("connection refused")

// Parameters that tests count with.
const (
	RefundWindow = 2 * time.Second
	maxExpiry    = 10 * time.Minute
)

// Op names a call for a Chain's hooks.
type Op string

// The calls.
const (
	OpQuery     Op = "query"
	OpBroadcast Op = "broadcast"
	OpSubscribe Op = "subscribe"
)

// Chain is the ledger. Its zero value is not valid. It is safe for concurrent use.
type Chain struct {
	id string

	mu          sync.Mutex
	clock       time.Time
	height      int64
	away        bool
	full        bool
	manual      bool
	drained     bool
	mempool     [][]byte
	cache       map[aitbc.Hash]bool
	txs         map[aitbc.Hash]*ledgerv1.GetTransactionResponse
	accounts    map[aitbc.AccountID]*ledgerv1.LedgerAccount
	grants      map[aitbc.AccountID]*ledgerv1.Allowance
	miners      map[aitbc.AccountID]ed25519.PublicKey
	escrows     map[aitbc.JobID]*ledgerv1.Escrow
	settlements map[aitbc.JobID]*ledgerv1.Settlement
	subscribers map[int]chan ctypes.ResultEvent
	next        int
	before      func(Op) error
	after       func(Op) error
	sizes       []int
	broadcasts  int
	rules       uint32
	inherited   int
}

var _ ledger.Endpoint = (*Chain)(nil)

// New makes a chain at height 1. A taken transaction is committed at once in a block of its own;
// after Manual(true) only by Block.
func New(chainID string) *Chain {
	return &Chain{
		id: chainID, clock: Genesis, height: 1, rules: aitbc.RulesInherit,
		cache:       make(map[aitbc.Hash]bool),
		txs:         make(map[aitbc.Hash]*ledgerv1.GetTransactionResponse),
		accounts:    make(map[aitbc.AccountID]*ledgerv1.LedgerAccount),
		grants:      make(map[aitbc.AccountID]*ledgerv1.Allowance),
		miners:      make(map[aitbc.AccountID]ed25519.PublicKey),
		escrows:     make(map[aitbc.JobID]*ledgerv1.Escrow),
		settlements: make(map[aitbc.JobID]*ledgerv1.Settlement),
		subscribers: make(map[int]chan ctypes.ResultEvent),
	}
}

// Fund gives an account tokens from nowhere.
func (c *Chain) Fund(id aitbc.AccountID, amount aitbc.Amount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account(id).BalanceUaitbc += int64(amount)
}

// Grant lets the operator escrow for a client; there is one operator.
func (c *Chain) Grant(client, operator aitbc.AccountID, limit aitbc.Amount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.grants[client] = &ledgerv1.Allowance{
		ClientId: client.String(), OperatorId: operator.String(), RemainingUaitbc: int64(limit),
	}
}

// Miner registers a miner.
func (c *Chain) Miner(key ed25519.PublicKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account(aitbc.AccountOf(key))
	c.miners[aitbc.AccountOf(key)] = key
}

// Rules sets the ledger's rules_version.
func (c *Chain) Rules(version uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rules = version
}

// Inherited counts the messages in blocks that left out what the one before says.
func (c *Chain) Inherited() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inherited
}

// Hooks are asked before and after every call; an error takes the place of its answer. They may
// call the Chain's methods. Nil: none.
func (c *Chain) Hooks(before, after func(Op) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before, c.after = before, after
}

// Away makes every call fail, or work again. Subscriptions go silent for good.
func (c *Chain) Away(away bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = away
	clear(c.subscribers)
}

// Deafen makes all subscriptions silent for good; calls still work.
func (c *Chain) Deafen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.subscribers)
}

// Full makes the mempool refuse everything, or take it again.
func (c *Chain) Full(full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.full = full
}

// Drained makes the mempool's check, or no longer, take all tokens for spent, as it does while
// transactions that spend them wait and perhaps never come into a block.
func (c *Chain) Drained(drained bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drained = drained
}

// Manual leaves blocks to Block, or makes one for every transaction again.
func (c *Chain) Manual(manual bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.manual = manual
}

// LoseMempool drops what waits and the memory of it, as a crash of the node does.
func (c *Chain) LoseMempool() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mempool = nil
	clear(c.cache)
}

// Waiting gives how many transactions are in the mempool.
func (c *Chain) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.mempool)
}

// Committed gives the number of messages of every committed transaction, in order.
func (c *Chain) Committed() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]int(nil), c.sizes...)
}

// Broadcasts counts the calls that reached the mempool.
func (c *Chain) Broadcasts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broadcasts
}

// Balance gives an account's tokens.
func (c *Chain) Balance(id aitbc.AccountID) aitbc.Amount {
	c.mu.Lock()
	defer c.mu.Unlock()
	return aitbc.Amount(c.account(id).BalanceUaitbc)
}

// Supply gives all tokens, in accounts and escrows.
func (c *Chain) Supply() aitbc.Amount {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sum int64
	for _, a := range c.accounts {
		sum += a.BalanceUaitbc
	}
	for _, e := range c.escrows {
		sum += e.AmountUaitbc
	}
	return aitbc.Amount(sum)
}

// Settlement gives how a job ended; nil: it has not.
func (c *Chain) Settlement(id aitbc.JobID) *ledgerv1.Settlement {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settlements[id]
}

// Now is the ledger's clock.
func (c *Chain) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock
}

// Block makes a block of all that waits, this much later than the last one.
func (c *Chain) Block(later time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block(later)
}

func (c *Chain) block(later time.Duration) {
	c.clock = c.clock.Add(later)
	c.height++
	for _, raw := range c.mempool {
		hash := aitbc.Hash(sha256.Sum256(raw))
		code, results := c.apply(raw, hash)
		c.sizes = append(c.sizes, len(results))
		c.txs[hash] = &ledgerv1.GetTransactionResponse{
			Found: true, Height: c.height, BlockTimeUs: c.clock.UnixMicro(), Code: code, Results: results,
		}
	}
	c.mempool = nil
	c.expire()
	for _, events := range c.subscribers {
		select {
		case events <- ctypes.ResultEvent{}:
		default: // dropped, as CometBFT does
		}
	}
}

// account gives an account and makes it when it is new; c.mu is held.
func (c *Chain) account(id aitbc.AccountID) *ledgerv1.LedgerAccount {
	a, ok := c.accounts[id]
	if !ok {
		a = &ledgerv1.LedgerAccount{AccountId: id.String(), NextSequence: 1}
		c.accounts[id] = a
	}
	return a
}

// hook asks one of the hooks, without the lock.
func (c *Chain) hook(ctx context.Context, op Op, after bool) error {
	c.mu.Lock()
	f, away := c.before, c.away
	if after {
		f = c.after
	}
	c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if away {
		return ErrAway
	}
	if f == nil {
		return nil
	}
	return f(op)
}
