package state_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// script reads bytes as numbers; at its end all of them are 0.
type script struct{ rest []byte }

func (s *script) byte() byte {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
}

func (s *script) below(n int) int { return int(s.byte()) % n }

// amount is small, large, at the edges, or any.
func (s *script) amount() int64 {
	switch s.below(8) {
	case 0:
		return -1
	case 1:
		return 1<<63 - 1
	case 2:
		var raw [8]byte
		for i := range raw {
			raw[i] = s.byte()
		}
		return int64(binary.LittleEndian.Uint64(raw[:]))
	default:
		return int64(s.byte()) << s.below(24)
	}
}

var castOfScripts = []string{"client", "operator", "operator2", "miner", "miner2", "authority", "nobody"}

func (s *script) who() string { return castOfScripts[s.below(len(castOfScripts))] }

// message makes one of any kind.
func (s *script) message(c *ledgertest.Chain) any {
	o := ledgertest.Order(ledgertest.Job(s.below(4)), c.Now())
	w := ledgertest.Work{Order: o, Miner: s.who(), Attempt: uint32(s.below(3)), ComputeUS: s.amount(), MeteredUS: s.amount(), FullySigned: s.below(2) == 0}
	switch s.below(14) {
	case 0:
		return transfer(s.who(), s.amount())
	case 1:
		return grant(s.who(), s.amount())
	case 2:
		return revoke(s.who())
	case 3:
		return &ledgerv1.RegisterOperator{Name: "o"}
	case 4:
		return &ledgerv1.RegisterMiner{Name: "m"}
	case 5:
		return &ledgerv1.BondStake{AmountUaitbc: s.amount()}
	case 6:
		return unbond(s.amount())
	case 7:
		return ledgertest.Rotation(s.who(), s.who())
	case 8:
		return w.Evidence()
	case 9:
		return ledgertest.Submit(o)
	case 10:
		return ledgertest.Receipt(w)
	case 11:
		return refund(o)
	case 12:
		return &ledgerv1.UpdateParams{FeeBps: proto.Uint32(uint32(s.byte()) << 6), DustLimitUaitbc: proto.Int64(s.amount()), UnbondingUs: proto.Int64(s.amount())}
	default:
		return validators(ledgertest.Public(s.who()), s.amount())
	}
}

// play runs the script: each step is a block with a transaction of up to three messages, in their long
// or their short form, or time that passes. The chain recounts the supply after each block and holds it to the postings.
func (s *script) play(c *ledgertest.Chain) {
	for range 24 {
		if len(s.rest) == 0 {
			return
		}
		if s.below(8) == 0 {
			c.Wait(time.Duration(s.byte()) * time.Second / 4)
			continue
		}
		form := s.below(6)
		messages := make([]any, 1+form%3)
		sign := c.Sign
		if form >= 3 {
			sign = c.SignCompact
		}
		signer := s.who()
		for i := range messages {
			messages[i] = s.message(c)
		}
		c.Block(sign(signer, messages...))
	}
}

// FuzzSequence makes of any bytes a sequence of messages of all kinds, and plays it twice, the second
// time on a chain that is stored and loaded in between: both end with the same hash.
func FuzzSequence(f *testing.F) {
	c := ledgertest.NewChain(f, ledgertest.Genesis())
	for kind := range byte(14) {
		f.Add([]byte{1, 0, 1, 3, 1, 3, 3, 3, 3, kind, 3, 200, 9, 1, 0, 1, 3, 1, 3, 3, 3, 3, 10, 0, 255})
		f.Add([]byte{1, 4, 1, 3, 1, 3, 3, 3, 3, kind, 1, 3, 1, 3, 3, 3, 3, kind})
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		through, stored := c.Fork(t), c.Fork(t)
		half := len(raw) / 2
		(&script{raw[:half]}).play(through)
		(&script{raw[half:]}).play(through)
		(&script{raw[:half]}).play(stored)
		var err error
		stored.State, err = state.DecodeSnapshot(stored.State.Snapshot(512))
		require.NoError(t, err)
		(&script{raw[half:]}).play(stored)
		require.Equal(t, through.State.AppHash(), stored.State.AppHash())
	})
}

// FuzzSnapshot reads any bytes as a snapshot of up to two parts. What is read is written and read
// again as the same state.
func FuzzSnapshot(f *testing.F) {
	c := ledgertest.NewChain(f, ledgertest.Genesis())
	c.Escrow(1)
	whole := c.State.Snapshot(1 << 20)[0]
	f.Add(whole, uint16(0))
	f.Add(whole, uint16(len(whole)/2))
	f.Fuzz(func(t *testing.T, raw []byte, cut uint16) {
		at := min(int(cut), len(raw))
		st, err := state.DecodeSnapshot([][]byte{raw[:at], raw[at:]})
		if err != nil {
			return
		}
		again, err := state.DecodeSnapshot(st.Snapshot(512))
		require.NoError(t, err)
		require.Equal(t, st.AppHash(), again.AppHash())
	})
}

// FuzzRecord puts any bytes into the place of one of a state's records: it is refused, or loaded as what
// it says, never a panic. Then blocks are made of it.
func FuzzRecord(f *testing.F) {
	c := ledgertest.NewChain(f, ledgertest.Genesis())
	c.Escrow(1)
	var keys []string
	for key, value := range c.State.Entries() {
		f.Add(uint8(len(keys)), value)
		keys = append(keys, key)
	}
	f.Fuzz(func(t *testing.T, which uint8, record []byte) {
		meta := c.State.Meta()
		st, err := state.Load(meta, func(yield func(string, []byte) bool) {
			for key, value := range c.State.Entries() {
				if key == keys[int(which)%len(keys)] {
					value = record
				}
				if !yield(key, value) {
					return
				}
			}
		})
		if err == nil {
			require.Equal(t, c.State.AppHash(), st.AppHash(), "the hash is the meta record's")
		}
	})
}

// FuzzParty reads any text as the addresses and keys of a genesis.
func FuzzParty(f *testing.F) {
	f.Add(ledgertest.ID("client").String(), "", int64(5), int64(1))
	f.Add("aitbc1", "zz", int64(-1), int64(1<<62))
	f.Fuzz(func(t *testing.T, id, key string, balance, stake int64) {
		g := ledgertest.Genesis()
		g.Accounts = append(g.Accounts, state.GenesisAccount{ID: id, PublicKey: key, Balance: aitbc.Amount(balance)})
		g.Miners = append(g.Miners, state.GenesisMiner{ID: id, Stake: aitbc.Amount(stake)})
		st, err := state.New(g)
		if err == nil {
			require.Equal(t, st.Info().Supply, st.Supply().Total())
		}
	})
}
