package state_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// seeds are one transaction of every kind of message.
func seeds(t testing.TB, c *ledgertest.Chain) [][]byte {
	o := ledgertest.Order(ledgertest.Job(1), c.Now())
	messages := []any{
		ledgertest.Submit(o), receipt(o, 5), refund(o), transfer("miner", 1), grant("operator", 1), revoke("operator"),
		&ledgerv1.RegisterOperator{Name: "x"}, &ledgerv1.RegisterMiner{}, &ledgerv1.BondStake{AmountUaitbc: 1},
		&ledgerv1.UnbondStake{AmountUaitbc: 1}, ledgertest.Rotation("operator", "next"), ledgertest.Work{Order: o, Miner: "miner"}.Evidence(),
		&ledgerv1.UpdateParams{FeeBps: proto.Uint32(7)}, validators(ledgertest.Public("validator"), 3),
	}
	raws := [][]byte{c.Sign("operator", messages...)}
	for _, m := range messages {
		raws = append(raws, c.Sign("operator", m))
	}
	another := ledgertest.Order(ledgertest.Job(2), c.Now())
	return append(raws, c.SignCompact("operator", ledgertest.Submit(o), ledgertest.Submit(another), receipt(o, 5), receipt(another, 6)))
}

// FuzzApply gives the ledger any bytes as a transaction.
func FuzzApply(f *testing.F) {
	c := ledgertest.NewChain(f, ledgertest.Genesis())
	for _, raw := range seeds(f, c) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) { c.Fork(t).Block(raw) })
}

// FuzzBody signs any bytes as a transaction's body, so that they get as far as they can. A body whose
// messages inherit does what its long form does.
func FuzzBody(f *testing.F) {
	c := ledgertest.NewChain(f, ledgertest.Genesis())
	for _, raw := range seeds(f, c) {
		tx := &ledgerv1.Tx{}
		require.NoError(f, proto.Unmarshal(raw, tx))
		f.Add(tx.GetBody())
	}
	c.Escrow(1)
	sign := func(t *testing.T, body []byte) []byte {
		raw, err := proto.Marshal(&ledgerv1.Tx{
			Body: body, PublicKey: ledgertest.Public("operator"),
			Signature: aitbc.Sign(ledgertest.Key("operator"), aitbc.TxSigningBytes(body)),
		})
		require.NoError(t, err)
		return raw
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := c.Fork(t).Block(sign(t, body))[0]
		long, expands := expanded(body)
		if got.Code != ok || !expands || len(long) > state.MaxTxBytes-200 { // as a whole it is refused for its outer form
			return
		}
		want := c.Fork(t).Block(sign(t, long))[0]
		want.Hash = got.Hash
		require.Equal(t, want, got)
	})
}

// expanded gives a body's long form, if it is a body that can be expanded.
func expanded(raw []byte) (long []byte, ok bool) {
	body, x := &ledgerv1.TxBody{}, aitbc.Expander{}
	if proto.Unmarshal(raw, body) != nil {
		return nil, false
	}
	for _, m := range body.GetMessages() {
		if x.Expand(m) != nil {
			return nil, false
		}
	}
	long, err := proto.Marshal(body)
	return long, err == nil
}

// FuzzMeta reads any bytes as a meta record; what it reads, it writes the same.
func FuzzMeta(f *testing.F) {
	f.Add(ledgertest.State(f, ledgertest.Genesis()).Meta().Encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		meta, err := state.DecodeMeta(raw)
		if err == nil {
			require.Equal(t, raw, meta.Encode())
		}
	})
}
