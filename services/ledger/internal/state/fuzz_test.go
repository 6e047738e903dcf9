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
	return raws
}

// FuzzApply gives the ledger any bytes as a transaction.
func FuzzApply(f *testing.F) {
	c := ledgertest.NewChain(f, ledgertest.Genesis())
	for _, raw := range seeds(f, c) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) { c.Fork(t).Block(raw) })
}

// FuzzBody signs any bytes as a transaction's body, so that they get as far as they can.
func FuzzBody(f *testing.F) {
	c := ledgertest.NewChain(f, ledgertest.Genesis())
	for _, raw := range seeds(f, c) {
		tx := &ledgerv1.Tx{}
		require.NoError(f, proto.Unmarshal(raw, tx))
		f.Add(tx.GetBody())
	}
	c.Escrow(1)
	f.Fuzz(func(t *testing.T, body []byte) {
		raw, err := proto.Marshal(&ledgerv1.Tx{
			Body: body, PublicKey: ledgertest.Public("operator"),
			Signature: aitbc.Sign(ledgertest.Key("operator"), aitbc.TxSigningBytes(body)),
		})
		require.NoError(t, err)
		c.Fork(t).Block(raw)
	})
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
