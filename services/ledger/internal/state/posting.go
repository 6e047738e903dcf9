package state

import (
	"fmt"
	"slices"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Book is where tokens can be. A token is in exactly one.
type Book uint8

// The books.
const (
	// BookBalance is an account's free tokens.
	BookBalance Book = iota + 1
	// BookEscrow is what is held of a client for a job.
	BookEscrow
	// BookStake is a miner's stake.
	BookStake
	// BookUnbonding is stake on its way back.
	BookUnbonding
	// BookBurned is nobody's any more.
	BookBurned
	// BookGenesis is where all tokens came from.
	BookGenesis
)

// Posting is what came into an owner's book; negative: what went out of it.
type Posting struct {
	Book Book
	// Owner is zero for what is burned, and for genesis.
	Owner  aitbc.AccountID
	Amount aitbc.Amount
	// After is what a balance holds afterwards; zero for other books.
	After aitbc.Amount
}

// Movement is what one message moved, or what moved by itself. Its postings sum to zero.
type Movement struct {
	// Kind is the message's field name in the contract, or one of the kinds below.
	Kind string
	// Job is the job it is about, if any.
	Job aitbc.JobID
	// TxHash is the transaction's and Message the message's place in it; zero for what moved by itself.
	TxHash   aitbc.Hash
	Message  int
	Postings []Posting
}

// Kinds of movements that no message made.
const (
	KindGenesis  = "genesis"
	KindRefunded = "escrow_refunded"
	KindExpired  = "escrow_expired"
	KindUnbonded = "stake_unbonded"
)

// holdings gives what an entry holds, by book and owner; nothing for entries without tokens. It is
// what the supply is summed up from too: a token that no posting explains would be missing there.
func holdings(key string, value []byte) ([]Posting, error) {
	r := &reader{rest: value}
	var held []Posting
	switch key[0] {
	case keyAccount:
		held = []Posting{{Book: BookBalance, Owner: ownerOf(key), Amount: readAccount(r).Balance}}
	case keyEscrow:
		e := readEscrow(r)
		held = []Posting{{Book: BookEscrow, Owner: e.Client, Amount: e.Amount}}
	case keyMiner:
		m := readMiner(r)
		held = []Posting{{Book: BookStake, Owner: ownerOf(key), Amount: m.Stake}, {Book: BookUnbonding, Owner: ownerOf(key), Amount: m.unbonding()}}
	case keyBurned:
		held = []Posting{{Book: BookBurned, Amount: r.amount()}}
	default:
		return nil, nil
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("entry %x: %w", key, err)
	}
	return held, nil
}

func ownerOf(key string) aitbc.AccountID { return aitbc.AccountID([]byte(key[1:])) }

// moved notes what was moved since the mark, if anything was.
func (b *Block) moved(mark int, m Movement) {
	if !b.journalled {
		return
	}
	since := b.journal[mark:]
	for i, c := range since {
		if slices.ContainsFunc(since[:i], func(earlier change) bool { return earlier.key == c.key }) {
			continue // the first change has what was there before
		}
		if c.before != nil {
			m.add(c.key, c.before, -1)
		}
		if after, there := b.entries.Get(c.key); there {
			m.add(c.key, after, 1)
		}
	}
	m.Postings = compactPostings(m.Postings)
	if len(m.Postings) > 0 {
		b.movements = append(b.movements, m)
	}
}

// add sums an entry's holdings up, in (sign 1) or out (sign -1). An entry that cannot be read is
// found by the supply's sum, which halts the chain.
func (m *Movement) add(key string, value []byte, sign aitbc.Amount) {
	held, err := holdings(key, value)
	if err != nil {
		return
	}
next:
	for _, h := range held {
		h.Amount *= sign
		if sign > 0 && h.Book == BookBalance {
			h.After = h.Amount
		}
		for i := range m.Postings {
			if p := &m.Postings[i]; p.Book == h.Book && p.Owner == h.Owner {
				p.Amount += h.Amount
				p.After = h.After
				continue next
			}
		}
		m.Postings = append(m.Postings, h)
	}
}

func compactPostings(list []Posting) []Posting {
	kept := list[:0]
	for _, p := range list {
		if p.Amount != 0 {
			kept = append(kept, p)
		}
	}
	return kept
}

// Opening is what genesis gave, each holding as a movement of its own.
func (s *State) Opening() []Movement {
	var list []Movement
	for key, value := range s.Entries() {
		held, err := holdings(key, value)
		if err != nil {
			panic(err) // Load and New have read every entry
		}
		for _, h := range held {
			if h.Amount == 0 {
				continue
			}
			if h.Book == BookBalance {
				h.After = h.Amount
			}
			list = append(list, Movement{Kind: KindGenesis, Postings: []Posting{h, {Book: BookGenesis, Amount: -h.Amount}}})
		}
	}
	return list
}
