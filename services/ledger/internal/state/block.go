package state

import (
	"crypto/ed25519"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/tree"
)

// Verifier reports whether signature is key's of message. It must answer as [aitbc.Verify] does;
// it may remember answers.
type Verifier func(key ed25519.PublicKey, message, signature []byte) bool

// Context is what a block's header says.
type Context struct {
	Height int64
	Time   time.Time
	// Journal asks for the block's movements.
	Journal bool
}

// Block is a block in the making. It is used by one goroutine.
type Block struct {
	store
	base     *State
	height   int64
	timeUS   int64
	cutOffUS int64
	log      receiptLog
	logNodes []LogNode
	verify   Verifier
	events   []Event
	// journalled says that movements are noted; the mempool's check needs none.
	journalled bool
	movements  []Movement
}

// Outcome is what a block did.
type Outcome struct {
	// Next is the state after it.
	Next *State
	// Writes are the entries that changed, in the order of their keys.
	Writes []Write
	// Events are what happened to jobs, in order.
	Events []Event
	// Movements are what was moved, in order.
	Movements []Movement
	// LogNodes are the nodes of the receipt log's tree that it completed.
	LogNodes []LogNode
	// Validators are those whose power changed.
	Validators []Validator
}

// Write is an entry to be stored; a nil value: to be deleted.
type Write struct {
	Key   string
	Value []byte
}

// Event is something that happened to a job.
type Event struct {
	Kind     EventKind
	Operator aitbc.AccountID
	Job      aitbc.JobID
	// TxHash is the transaction's; zero for what happened by itself.
	TxHash aitbc.Hash
	// Settlement is how the escrow ended, for Settled.
	Settlement Settlement
}

// EventKind says what happened to a job.
type EventKind uint8

// What can happen to a job.
const (
	// Escrowed: its escrow was made.
	Escrowed EventKind = iota + 1
	// RefundAsked: its operator asked for a refund.
	RefundAsked
	// Settled: its escrow ended.
	Settled
)

// Settlement is how an escrow ended. Paid + Refunded is what it held.
type Settlement struct {
	Outcome        ledgerv1.Settlement_Outcome
	Client         aitbc.AccountID
	Paid, Refunded aitbc.Amount
	// Fee is what was burned of Paid; the miner got the rest.
	Fee aitbc.Amount
	// Receipt is nil for refunds and expiries.
	Receipt *ledgerv1.LedgerReceipt
}

// Begin opens the block that follows. Nothing of it shows in s.
func (s *State) Begin(ctx Context, verify Verifier) *Block {
	b := &Block{
		store:    store{entries: s.entries.Copy()},
		base:     s,
		height:   ctx.Height,
		timeUS:   ctx.Time.UnixMicro(),
		cutOffUS: s.cutOffUS,
		log:      s.log.clone(),
		verify:   verify,

		journalled: ctx.Journal,
	}
	if excess := b.timeUS - s.timeUS - s.params.MaxBlockGapUS; excess > 0 {
		b.cutOffUS += excess
		b.put(string(keyClock), encodeInt(b.cutOffUS))
	}
	return b
}

// nowUS is the ledger's clock in this block.
func (b *Block) nowUS() int64 { return b.timeUS - b.cutOffUS }

// End lets what is due return, forgets replay keys of expired orders and gives the next state. An
// error means that this state machine is wrong or its state corrupt: the chain must halt.
func (b *Block) End() (Outcome, error) {
	b.expire()
	b.release()
	b.prune()
	next := &State{
		entries: b.entries,
		tree:    b.base.tree,
		log:     b.log,
		supply:  b.base.supply,
		height:  b.height,
		timeUS:  b.timeUS,
	}
	writes, err := b.settleEntries(next)
	if err != nil {
		return Outcome{}, fmt.Errorf("end block %d: %w", b.height, err)
	}
	if err := next.complete(); err != nil {
		return Outcome{}, fmt.Errorf("end block %d: %w", b.height, err)
	}
	return Outcome{Next: next, Writes: writes, Events: b.events, Movements: b.movements, LogNodes: b.logNodes, Validators: b.validatorUpdates(writes)}, nil
}

// settleEntries brings the next state's tree and supply up to what was written.
func (b *Block) settleEntries(next *State) ([]Write, error) {
	keys := b.written()
	writes, changes := make([]Write, 0, len(keys)), make([]tree.Change, 0, len(keys))
	for _, key := range keys {
		if before, there := b.base.entries.Get(key); there {
			if err := next.supply.add(key, before, -1); err != nil {
				return nil, err
			}
		}
		after, there := b.entries.Get(key)
		if there {
			if err := next.supply.add(key, after, 1); err != nil {
				return nil, err
			}
		}
		changes = append(changes, tree.Changed(key, after))
		writes = append(writes, Write{Key: key, Value: after})
	}
	next.tree = next.tree.With(changes)
	return writes, nil
}

func (b *Block) account(id aitbc.AccountID) (Account, bool) {
	return load(b.entries, accountKey(id), readAccount)
}

func (b *Block) putAccount(id aitbc.AccountID, a Account) { b.put(accountKey(id), a.encode()) }

// credit adds to a balance; an account that is new comes into being. The supply bounds the sum.
func (b *Block) credit(id aitbc.AccountID, amount aitbc.Amount) {
	a, there := b.account(id)
	if !there {
		a.NextSequence = 1
	}
	a.Balance += amount
	b.putAccount(id, a)
}

// debit takes from a balance, if it covers the amount.
func (b *Block) debit(id aitbc.AccountID, amount aitbc.Amount) *refusal {
	a, there := b.account(id)
	if !there {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_UNKNOWN_ACCOUNT, "account %s does not exist", id)
	}
	if a.Balance < amount {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_FUNDS, "account %s has %s, %s are needed", id, a.Balance, amount)
	}
	a.Balance -= amount
	b.putAccount(id, a)
	return nil
}

func encodeInt(v int64) []byte {
	w := &writer{}
	w.int64(v)
	return w.buf
}
