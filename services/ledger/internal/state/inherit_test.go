package state_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// batches are the messages of jobs of two clients and two miners, one of them signed by its client, with
// one of each kind that is refused: escrows, then receipts.
func batches(c *ledgertest.Chain) (escrows, receipts []any) {
	for n := range 8 {
		o := ledgertest.Order(ledgertest.Job(n), c.Now())
		submit := ledgertest.Submit(o)
		switch n {
		case 2, 3:
			o.Client = ledgertest.ID("newcomer")
			submit = ledgertest.Submit(o)
			submit.ClientSignature = aitbc.Sign(ledgertest.Key("newcomer"), o.SigningBytes())
			submit.ClientPublicKey = ledgertest.Public("newcomer")
		case 5:
			submit.PayloadCommitment = nil // malformed, and the next one inherits from it
		}
		escrows = append(escrows, submit)
		w := ledgertest.Work{Order: o, Miner: "miner", Attempt: 1, ComputeUS: int64(n) * 1_000_000, MeteredUS: int64(n) * 900_000, Running: n == 4}
		if n%3 == 1 {
			w.Miner = "miner2"
		}
		r := ledgertest.Receipt(w)
		if n == 6 {
			r.StatementSignature[9]++
		}
		receipts = append(receipts, r)
	}
	return escrows, receipts
}

// unhashed leaves out what names the transaction.
func unhashed(c *ledgertest.Chain) ([]state.Event, []state.Movement) {
	for i := range c.Events {
		c.Events[i].TxHash = aitbc.Hash{}
	}
	for i := range c.Movements {
		c.Movements[i].TxHash = aitbc.Hash{}
	}
	return c.Events, c.Movements
}

// TestBothFormsOfABatchDoTheSame applies the long and the short form of the same messages to two
// states. With a sequence nothing is remembered of a transaction's bytes: the app hashes agree at once.
// Without one they differ only by the hash under which it is remembered, and agree when that is forgotten.
func TestBothFormsOfABatchDoTheSame(t *testing.T) {
	t.Parallel()
	for name, extra := range map[string][]any{"with a sequence": {transfer("miner", 1)}, "without": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			long := ledgertest.NewChain(t, ledgertest.Genesis())
			short := long.Fork(t)
			escrows, receipts := batches(long)
			for i, batch := range [][]any{escrows, receipts} {
				batch = append(batch, extra...)
				big, small := long.Sign("operator", batch...), short.SignCompact("operator", batch...)
				require.Less(t, len(small), len(big)-100)
				want, got := long.Block(big)[0], short.Block(small)[0]
				require.Len(t, got.Messages, len(batch))
				for n := range want.Messages {
					require.Equal(t, want.Messages[n], got.Messages[n])
				}
				require.NotEqual(t, ok, got.Messages[5+i].Code)
				require.Equal(t, ok, got.Messages[2].Code)
				wantEvents, wantMovements := unhashed(long)
				events, movements := unhashed(short)
				require.Equal(t, wantEvents, events)
				require.Equal(t, wantMovements, movements)
				require.Equal(t, long.LogNodes, short.LogNodes)
				require.Equal(t, long.State.Supply(), short.State.Supply())
				require.Equal(t, extra != nil, long.State.AppHash() == short.State.AppHash())
			}
			require.Equal(t, uint64(6), short.State.Receipts())
			long.Wait(3 * time.Minute)
			short.Wait(3 * time.Minute)
			require.Equal(t, long.State.AppHash(), short.State.AppHash())
		})
	}
}

// Nodes with an older program must come to the same: to them it is a message that they cannot read.
func TestMessagesInheritFromTheirRulesOn(t *testing.T) {
	t.Parallel()
	genesis := ledgertest.Genesis()
	genesis.Params.RulesVersion = aitbc.RulesInherit - 1
	c := ledgertest.NewChain(t, genesis)
	escrows, receipts := batches(c)
	set := ledgertest.Submit(ledgertest.Order(ledgertest.Job(9), c.Now()))
	set.Inherits = proto.Uint32(0)
	require.Equal(t, isMalformed, c.One("operator", set), "unknown is the field, not its value")
	codes := func(raw []byte) (list []ledgerv1.ResultCode) {
		for _, m := range c.Block(raw)[0].Messages {
			list = append(list, m.Code)
		}
		return list
	}
	require.Equal(t, []ledgerv1.ResultCode{ok, isMalformed}, codes(c.SignCompact("operator", escrows[:2]...)))
	require.Equal(t, ok, c.One("operator", escrows[1]))
	require.Equal(t, []ledgerv1.ResultCode{ok, isMalformed}, codes(c.SignCompact("operator", receipts[:2]...)))
	require.Equal(t, ok, c.One("operator", escrows[4]))
	require.Equal(t, ok, c.One("operator", &ledgerv1.UpdateParams{RulesVersion: proto.Uint32(aitbc.RulesInherit)}))
	require.Equal(t, []ledgerv1.ResultCode{ok, ok}, codes(c.SignCompact("operator", receipts[1], receipts[4])))
}

// A message that cannot be expanded fails alone, and takes with it only those that inherit from it.
func TestWhatCannotBeExpandedIsMalformed(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	escrow := func(n int, inherits uint32) *ledgerv1.SubmitJob {
		m := ledgertest.Submit(ledgertest.Order(ledgertest.Job(n), c.Now()))
		if inherits&(1<<1) != 0 {
			m.Client = nil
		}
		m.Inherits = proto.Uint32(inherits)
		return m
	}
	said := escrow(4, 1<<1)
	said.Client = escrow(4, 0).GetClient()
	var got []ledgerv1.ResultCode
	for _, m := range c.Send("operator",
		escrow(0, 1<<1), // nothing before it
		escrow(1, 0),
		transfer("miner", 1), // another kind does not come between
		escrow(2, 1<<1),
		escrow(3, 1<<2), // a job id is never inherited
		escrow(5, 1<<1), // from one that cannot be read
		escrow(6, 0),
		said, // said and inherited
		escrow(7, 1<<1),
	).Messages {
		got = append(got, m.Code)
	}
	bad := isMalformed
	require.Equal(t, []ledgerv1.ResultCode{bad, ok, ok, ok, bad, bad, ok, bad, bad}, got)
	require.Equal(t, int64(3), c.State.Supply().OpenEscrows)
}
