package state

import (
	"crypto/ed25519"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Account is an account's free tokens and identity.
type Account struct {
	Balance aitbc.Amount
	// NextSequence is what its next transaction with an account message must carry.
	NextSequence uint64
	// PublicKey is empty until the account has signed something.
	PublicKey ed25519.PublicKey
	// OldKeys are those it had before, as far as they are still good for anything.
	OldKeys []OldKey
}

// OldKey is a key that was rotated away. It is good for leases, statements and acceptances alone.
type OldKey struct {
	PublicKey ed25519.PublicKey
	// UntilUS is when it stops to be good.
	UntilUS int64
}

func (a Account) encode() []byte {
	w := &writer{}
	w.amount(a.Balance)
	w.uint64(a.NextSequence)
	w.bytes(a.PublicKey)
	w.uint8(uint8(len(a.OldKeys)))
	for _, k := range a.OldKeys {
		w.bytes(k.PublicKey)
		w.int64(k.UntilUS)
	}
	return w.buf
}

func readAccount(r *reader) Account {
	a := Account{Balance: r.amount(), NextSequence: r.uint64(), PublicKey: r.bytes()}
	for n := r.uint8(); n > 0 && r.err == nil; n-- {
		a.OldKeys = append(a.OldKeys, OldKey{PublicKey: r.bytes(), UntilUS: r.int64()})
	}
	return a
}

// Grant is what a client lets an operator escrow of its tokens: a limit, not money.
type Grant struct {
	// Generation tells one grant from the one that replaced it.
	Generation uint64
	Remaining  aitbc.Amount
	// PerJob and PerDay are zero when only the cap limits.
	PerJob, PerDay aitbc.Amount
	// Day is the UTC day of ledger time that SpentToday belongs to, counted from 1970.
	Day        int64
	SpentToday aitbc.Amount
	// ExpiresUS is zero for a grant that lasts until it is revoked.
	ExpiresUS int64
}

func (g Grant) encode() []byte {
	w := &writer{}
	w.uint64(g.Generation)
	w.amount(g.Remaining)
	w.amount(g.PerJob)
	w.amount(g.PerDay)
	w.int64(g.Day)
	w.amount(g.SpentToday)
	w.int64(g.ExpiresUS)
	return w.buf
}

func readGrant(r *reader) Grant {
	return Grant{
		Generation: r.uint64(),
		Remaining:  r.amount(),
		PerJob:     r.amount(),
		PerDay:     r.amount(),
		Day:        r.int64(),
		SpentToday: r.amount(),
		ExpiresUS:  r.int64(),
	}
}

// Miner is a registered miner.
type Miner struct {
	Name  string
	Stake aitbc.Amount
	// SlashedUS is when it lost its stake by evidence; 0: never.
	SlashedUS int64
	// Unbonding is what is on its way back, the next to arrive first.
	Unbonding []Unbonding
}

// Unbonding is stake on its way back. It can be slashed until it arrives.
type Unbonding struct {
	Amount aitbc.Amount
	// DueUS is when it arrives.
	DueUS int64
}

// unbonding sums up what is on its way back.
func (m Miner) unbonding() aitbc.Amount {
	var sum aitbc.Amount
	for _, u := range m.Unbonding {
		sum += u.Amount
	}
	return sum
}

func (m Miner) encode() []byte {
	w := &writer{}
	w.text(m.Name)
	w.amount(m.Stake)
	w.int64(m.SlashedUS)
	w.uint8(uint8(len(m.Unbonding)))
	for _, u := range m.Unbonding {
		w.amount(u.Amount)
		w.int64(u.DueUS)
	}
	return w.buf
}

func readMiner(r *reader) Miner {
	m := Miner{Name: r.text(), Stake: r.amount(), SlashedUS: r.int64()}
	for n := r.uint8(); n > 0 && r.err == nil; n-- {
		m.Unbonding = append(m.Unbonding, Unbonding{Amount: r.amount(), DueUS: r.int64()})
	}
	return m
}

// Operator is a registered operator.
type Operator struct{ Name string }

func (o Operator) encode() []byte {
	w := &writer{}
	w.text(o.Name)
	return w.buf
}

func readOperator(r *reader) Operator { return Operator{Name: r.text()} }

// Escrow is an open job: the client's tokens, held until a receipt, a refund or the deadline.
type Escrow struct {
	Client           aitbc.AccountID
	Amount           aitbc.Amount
	Price            aitbc.Amount
	ExecutionLimitUS int64
	SettleByUS       int64
	OrderHash        aitbc.Hash
	// RefundFinalUS is zero while no refund was asked for.
	RefundFinalUS int64
	// ByGrant says that an allowance paid for it; Generation and Day say which and when, so that
	// what the escrow returns goes back to that one.
	ByGrant    bool
	Generation uint64
	Day        int64
}

// dueUS is when the escrow returns by itself.
func (e Escrow) dueUS() int64 {
	if e.RefundFinalUS != 0 {
		return e.RefundFinalUS
	}
	return e.SettleByUS
}

func (e Escrow) encode() []byte {
	w := &writer{}
	w.fixed(e.Client[:])
	w.amount(e.Amount)
	w.amount(e.Price)
	w.int64(e.ExecutionLimitUS)
	w.int64(e.SettleByUS)
	w.fixed(e.OrderHash[:])
	w.int64(e.RefundFinalUS)
	w.boolean(e.ByGrant)
	w.uint64(e.Generation)
	w.int64(e.Day)
	return w.buf
}

func readEscrow(r *reader) Escrow {
	var e Escrow
	r.fill(e.Client[:])
	e.Amount = r.amount()
	e.Price = r.amount()
	e.ExecutionLimitUS = r.int64()
	e.SettleByUS = r.int64()
	r.fill(e.OrderHash[:])
	e.RefundFinalUS = r.int64()
	e.ByGrant = r.boolean()
	e.Generation = r.uint64()
	e.Day = r.int64()
	return e
}

// Info is what genesis fixed for ever.
type Info struct {
	ChainID string
	// Authority may change parameters; zero: nobody may.
	Authority aitbc.AccountID
	// Supply is all there is.
	Supply aitbc.Amount
}

func (i Info) encode() []byte {
	w := &writer{}
	w.text(i.ChainID)
	w.fixed(i.Authority[:])
	w.amount(i.Supply)
	return w.buf
}

func readInfo(r *reader) Info {
	i := Info{ChainID: r.text()}
	r.fill(i.Authority[:])
	i.Supply = r.amount()
	return i
}
