package state_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// receiptCase is a good receipt with one thing changed after signing.
type receiptCase struct {
	name   string
	sender string
	// full has the operator's signatures in it, as a miner needs them.
	full   bool
	change func(*ledgerv1.RecordReceipt)
	want   ledgerv1.ResultCode
}

func receiptCases() []receiptCase {
	return []receiptCase{
		{name: "from the operator", want: ok},
		{name: "from the operator with all signatures", full: true, want: ok},
		{name: "from the miner with all signatures", sender: "miner", full: true, want: ok},
		{name: "from the miner without the lease's", sender: "miner", full: true, change: func(m *ledgerv1.RecordReceipt) { m.LeaseSignature = nil }, want: badLease},
		{name: "from the miner without the acceptance's", sender: "miner", full: true, change: func(m *ledgerv1.RecordReceipt) { m.AcceptanceSignature = nil }, want: badAcceptance},
		{name: "from the miner with a larger meter than accepted", sender: "miner", full: true, change: func(m *ledgerv1.RecordReceipt) { m.MeteredUs++ }, want: badAcceptance},
		{name: "from the miner for itself as operator", sender: "miner", full: true, change: func(m *ledgerv1.RecordReceipt) { m.Operator = nil }, want: notOperator},
		{name: "from somebody else with all signatures", sender: "client", full: true, want: notMiner},
		{name: "from another operator", sender: "operator2", want: notOpen},
		{name: "for another miner", change: func(m *ledgerv1.RecordReceipt) { id := ledgertest.ID("miner2"); m.Miner = id[:] }, want: badStatement},
		{name: "for an account that is no miner", change: func(m *ledgerv1.RecordReceipt) { id := ledgertest.ID("client"); m.Miner = id[:] }, want: notMiner},
		{name: "for a job that was never escrowed", change: func(m *ledgerv1.RecordReceipt) { id := ledgertest.Job(99); m.JobId = id[:] }, want: notOpen},
		{name: "with a short job id", change: func(m *ledgerv1.RecordReceipt) { m.JobId = nil }, want: isMalformed},
		{name: "with a short operator", change: func(m *ledgerv1.RecordReceipt) { m.Operator = []byte{1} }, want: isMalformed},
		{name: "with a short miner", change: func(m *ledgerv1.RecordReceipt) { m.Miner = nil }, want: isMalformed},
		{name: "with a short digest", change: func(m *ledgerv1.RecordReceipt) { m.ModelDigest = nil }, want: isMalformed},
		{name: "with a short commitment", change: func(m *ledgerv1.RecordReceipt) { m.ResultCommitment = nil }, want: isMalformed},
		{name: "without an attempt", change: func(m *ledgerv1.RecordReceipt) { m.Attempt = 0 }, want: isMalformed},
		{name: "with negative compute", change: func(m *ledgerv1.RecordReceipt) { m.ComputeUs = -1 }, want: isMalformed},
		{name: "with a long model", change: func(m *ledgerv1.RecordReceipt) { m.Model = strings.Repeat("x", 257) }, want: isMalformed},
		{name: "metered over the statement", change: func(m *ledgerv1.RecordReceipt) { m.MeteredUs = m.GetComputeUs() + 1 }, want: badMeter},
		{name: "metered over the execution limit", change: func(m *ledgerv1.RecordReceipt) { m.MeteredUs = 60_000_001 }, want: badMeter},
		{name: "metered negative", change: func(m *ledgerv1.RecordReceipt) { m.MeteredUs = -1 }, want: badMeter},
		{name: "with another compute time than signed", change: func(m *ledgerv1.RecordReceipt) { m.ComputeUs++ }, want: badStatement},
		{name: "with another result than signed", change: func(m *ledgerv1.RecordReceipt) { m.ResultCommitment[0]++ }, want: badStatement},
		{name: "with another model than leased", change: func(m *ledgerv1.RecordReceipt) { m.Model = "other" }, want: badStatement},
		{name: "with another attempt than leased", change: func(m *ledgerv1.RecordReceipt) { m.Attempt++ }, want: badStatement},
		{name: "without the statement's signature", change: func(m *ledgerv1.RecordReceipt) { m.StatementSignature = nil }, want: badStatement},
	}
}

func TestRecordReceiptChecks(t *testing.T) {
	t.Parallel()
	for _, test := range receiptCases() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := ledgertest.NewChain(t, ledgertest.Genesis())
			m := ledgertest.Receipt(ledgertest.Work{
				Order: c.Escrow(1), Miner: "miner", Attempt: 1, ComputeUS: 90_000_000, MeteredUS: 12_500_000, FullySigned: test.full,
			})
			if test.change != nil {
				test.change(m)
			}
			if test.sender == "" {
				test.sender = "operator"
			}
			require.Equal(t, test.want, c.One(test.sender, m))
			if test.want == ok {
				require.Equal(t, aitbc.Amount(250_000), c.Balance("miner"))
				require.Equal(t, aitbc.Amount(999_750_000), c.Balance("client"))
			} else {
				require.Equal(t, int64(1), c.State.Supply().OpenEscrows)
			}
		})
	}
}

func TestAReceiptForARunningStatementPays(t *testing.T) {
	t.Parallel()
	for sender, mixed := range map[string]ledgerv1.ResultCode{"operator": badStatement, "miner": badAcceptance} {
		c := ledgertest.NewChain(t, ledgertest.Genesis())
		work := ledgertest.Work{Order: c.Escrow(1), Miner: "miner", Attempt: 1, ComputeUS: 2_000_000, MeteredUS: 1_500_000, Running: true, FullySigned: true}
		final := ledgertest.Receipt(work)
		final.Running = nil
		require.Equal(t, mixed, c.One(sender, final), "one kind of statement does not pass for the other")
		require.Equal(t, ok, c.One(sender, ledgertest.Receipt(work)))
		require.Equal(t, aitbc.Amount(30_000), c.Balance("miner"))
		require.Equal(t, aitbc.Amount(999_970_000), c.Balance("client"))
	}
}

// Nodes with an older program must come to the same: to them it is a message that they cannot read.
func TestRunningStatementsCountFromTheirRulesOn(t *testing.T) {
	t.Parallel()
	genesis := ledgertest.Genesis()
	genesis.Params.RulesVersion = 1
	c := ledgertest.NewChain(t, genesis)
	work := ledgertest.Work{Order: c.Escrow(1), Miner: "miner", Attempt: 1, ComputeUS: 2_000_000, MeteredUS: 1_500_000, Running: true}
	set := receipt(work.Order, 1)
	set.Running = proto.Bool(false)
	require.Equal(t, isMalformed, c.One("operator", ledgertest.Receipt(work)))
	require.Equal(t, isMalformed, c.One("operator", set), "unknown is the field, not its value")
	require.Equal(t, ok, c.One("operator", &ledgerv1.UpdateParams{RulesVersion: proto.Uint32(2)}))
	require.Equal(t, ok, c.One("operator", ledgertest.Receipt(work)))
}

func TestASecondReceiptPaysNothing(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	o := c.Escrow(1)
	result := c.Send("operator", receipt(o, 1_000_000), receipt(o, 1_000_000))
	require.Equal(t, ok, result.Messages[0].Code)
	require.Equal(t, notOpen, result.Messages[1].Code)
	require.Equal(t, aitbc.Amount(20_000), c.Balance("miner"))
	require.Equal(t, uint64(1), c.State.Receipts())
}

func TestPaymentIsBoundedByTheEscrow(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	o := ledgertest.Order(ledgertest.Job(1), c.Now())
	o.MaxPrice = 7
	require.Equal(t, ok, c.One("operator", ledgertest.Submit(o)))
	require.Equal(t, ok, c.One("operator", receipt(o, 60_000_000)))
	require.Equal(t, aitbc.Amount(7), c.Balance("miner"))
}

func TestAReceiptOfNoComputeReturnsAll(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	require.Equal(t, ok, c.One("operator", receipt(c.Escrow(1), 0)))
	require.Zero(t, c.Balance("miner"))
	require.Equal(t, aitbc.Amount(1_000_000_000), c.Balance("client"))
}

// TestTheAppHashCommitsToAllReceipts rebuilds the receipt log from the receipts alone.
func TestTheAppHashCommitsToAllReceipts(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	factory := &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	log := factory.NewEmptyRange(0)
	for n := range 5 {
		require.Equal(t, ok, c.One("operator", receipt(c.Escrow(n), int64(n))))
		leaf, err := aitbc.ReceiptLeafOf(c.Events[0].Settlement.Receipt)
		require.NoError(t, err)
		require.Equal(t, uint64(n), leaf.LogIndex)
		require.NoError(t, log.Append(rfc6962.DefaultHasher.HashLeaf(leaf.Bytes()), nil))
	}
	meta := c.State.Meta()
	require.Equal(t, uint64(5), meta.LogSize)
	require.Equal(t, log.Hashes(), meta.LogHashes)
	changed := meta
	changed.LogHashes = [][]byte{meta.LogHashes[1], meta.LogHashes[0]}
	_, err := state.Load(changed, c.State.Entries())
	require.Error(t, err)
}
