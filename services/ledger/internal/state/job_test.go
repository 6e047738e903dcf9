package state_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

func TestSubmitJobChecks(t *testing.T) {
	t.Parallel()
	second := time.Second.Microseconds()
	tests := []struct {
		name   string
		signer string
		change func(*ledgerv1.SubmitJob)
		want   ledgerv1.ResultCode
	}{
		{name: "a good one", change: func(*ledgerv1.SubmitJob) {}, want: ok},
		{name: "a short client", change: func(m *ledgerv1.SubmitJob) { m.Client = m.Client[1:] }, want: isMalformed},
		{name: "a short job id", change: func(m *ledgerv1.SubmitJob) { m.JobId = m.JobId[1:] }, want: isMalformed},
		{name: "no commitment", change: func(m *ledgerv1.SubmitJob) { m.PayloadCommitment = nil }, want: isMalformed},
		{name: "not from an operator", signer: "client", change: func(*ledgerv1.SubmitJob) {}, want: notOperator},
		{name: "an operator without allowance", signer: "operator2", change: func(*ledgerv1.SubmitJob) {}, want: insufficientAllowance},
		{name: "an order that has expired", change: func(m *ledgerv1.SubmitJob) { m.ExpiresUs = ledgertest.Start().UnixMicro() }, want: expired},
		{name: "an order that expires too far ahead", change: func(m *ledgerv1.SubmitJob) { m.ExpiresUs += 5*60*second + 1 }, want: expired},
		{name: "a price under the least", change: func(m *ledgerv1.SubmitJob) { m.PriceUaitbc = 0 }, want: outOfRange},
		{name: "a price over the most", change: func(m *ledgerv1.SubmitJob) { m.PriceUaitbc = 1_000_000_001 }, want: outOfRange},
		{name: "an escrow of nothing", change: func(m *ledgerv1.SubmitJob) { m.MaxPriceUaitbc = 0 }, want: outOfRange},
		{name: "a negative escrow", change: func(m *ledgerv1.SubmitJob) { m.MaxPriceUaitbc = -1 }, want: outOfRange},
		{name: "no execution limit", change: func(m *ledgerv1.SubmitJob) { m.ExecutionLimitUs = 0 }, want: outOfRange},
		{name: "the largest execution limit", change: func(m *ledgerv1.SubmitJob) { m.ExecutionLimitUs = math.MaxInt64 }, want: outOfRange},
		{name: "the least grace", change: func(m *ledgerv1.SubmitJob) { m.SettleByUs -= 7 * 60 * second }, want: ok},
		{name: "less than the least grace", change: func(m *ledgerv1.SubmitJob) { m.SettleByUs -= 7*60*second + 1 }, want: outOfRange},
		{name: "a deadline too far ahead", change: func(m *ledgerv1.SubmitJob) { m.SettleByUs = math.MaxInt64 }, want: outOfRange},
		{name: "a deadline before all time", change: func(m *ledgerv1.SubmitJob) { m.SettleByUs = math.MinInt64 }, want: outOfRange},
		{name: "a client that does not exist", change: func(m *ledgerv1.SubmitJob) { id := ledgertest.ID("nobody"); m.Client = id[:] }, want: unknownAccount},
		{name: "a client without allowance", change: func(m *ledgerv1.SubmitJob) { id := ledgertest.ID("newcomer"); m.Client = id[:] }, want: insufficientAllowance},
		{name: "more than the allowance", change: func(m *ledgerv1.SubmitJob) { m.MaxPriceUaitbc = 1_000_000_001 }, want: insufficientAllowance},
		{name: "a client's signature that is wrong", change: func(m *ledgerv1.SubmitJob) { m.ClientSignature = make([]byte, 64) }, want: badSignature},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := ledgertest.NewChain(t, ledgertest.Genesis())
			m := ledgertest.Submit(ledgertest.Order(ledgertest.Job(1), c.Now()))
			test.change(m)
			if test.signer == "" {
				test.signer = "operator"
			}
			require.Equal(t, test.want, c.One(test.signer, m))
			require.Equal(t, test.want == ok, c.State.Supply().OpenEscrows == 1)
		})
	}
}

func TestAllowanceWithoutBalanceIsNoMoney(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	require.Equal(t, ok, c.One("client", transfer("miner", 1_000_000_000)))
	require.Equal(t, insufficientFunds, c.One("operator", ledgertest.Submit(ledgertest.Order(ledgertest.Job(1), c.Now()))))
	g, _ := c.State.Grant(ledgertest.ID("client"), ledgertest.ID("operator"))
	require.Equal(t, aitbc.Amount(1_000_000_000), g.Remaining, "a refused escrow leaves the allowance alone")
}

func TestASignedOrderNeedsNoAllowance(t *testing.T) {
	t.Parallel()
	signed := func(c *ledgertest.Chain, client, operator string) *ledgerv1.SubmitJob {
		o := ledgertest.Order(ledgertest.Job(1), c.Now())
		o.Client, o.Operator = ledgertest.ID(client), ledgertest.ID(operator)
		m := ledgertest.Submit(o)
		m.ClientSignature = aitbc.Sign(ledgertest.Key(client), o.SigningBytes())
		m.ClientPublicKey = ledgertest.Public(client)
		return m
	}
	t.Run("of a client whose key is known", func(t *testing.T) {
		t.Parallel()
		c := ledgertest.NewChain(t, ledgertest.Genesis())
		require.Equal(t, ok, c.One("operator2", signed(c, "client", "operator2")))
	})
	t.Run("of a client whose key is new", func(t *testing.T) {
		t.Parallel()
		c := ledgertest.NewChain(t, ledgertest.Genesis())
		require.Equal(t, ok, c.One("operator2", signed(c, "newcomer", "operator2")))
		newcomer, _ := c.State.Account(ledgertest.ID("newcomer"))
		require.Equal(t, ledgertest.Public("newcomer"), newcomer.PublicKey)
	})
	t.Run("but not when it is for another operator", func(t *testing.T) {
		t.Parallel()
		c := ledgertest.NewChain(t, ledgertest.Genesis())
		require.Equal(t, badSignature, c.One("operator2", signed(c, "client", "operator")))
	})
	t.Run("nor with somebody else's key", func(t *testing.T) {
		t.Parallel()
		c := ledgertest.NewChain(t, ledgertest.Genesis())
		m := signed(c, "client", "operator2")
		id := ledgertest.ID("newcomer")
		m.Client = id[:]
		require.Equal(t, badSignature, c.One("operator2", m))
	})
	t.Run("nor with another price", func(t *testing.T) {
		t.Parallel()
		c := ledgertest.NewChain(t, ledgertest.Genesis())
		m := signed(c, "client", "operator2")
		m.PriceUaitbc++
		require.Equal(t, badSignature, c.One("operator2", m))
	})
}

func TestAJobIDIsGoodOnce(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	o := c.Escrow(1)
	require.Equal(t, duplicateJob, c.One("operator", ledgertest.Submit(o)), "while it is open")
	require.Equal(t, ok, c.One("operator", receipt(o, 1)))
	require.Equal(t, duplicateJob, c.One("operator", ledgertest.Submit(o)), "when it is settled")
	c.Wait(7 * time.Minute)
	for key := range c.State.Entries() {
		require.NotContains(t, "rtxy", key[:1], "orders and transactions are forgotten with their minute")
	}
	require.Equal(t, expired, c.One("operator", ledgertest.Submit(o)), "when the order has expired")
}

func TestAnotherOperatorMayUseTheSameJobID(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	c.Escrow(1)
	require.Equal(t, ok, c.One("client", grant("operator2", 5_000_000)))
	o := ledgertest.Order(ledgertest.Job(1), c.Now())
	o.Operator = ledgertest.ID("operator2")
	require.Equal(t, ok, c.One("operator2", ledgertest.Submit(o)))
}

func receipt(o aitbc.Order, meteredUS int64) *ledgerv1.RecordReceipt {
	return ledgertest.Receipt(ledgertest.Work{Order: o, Miner: "miner", Attempt: 1, ComputeUS: 90_000_000, MeteredUS: meteredUS})
}

func refund(o aitbc.Order) *ledgerv1.RefundJob { return &ledgerv1.RefundJob{JobId: o.JobID[:]} }

func TestRefundChecks(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	o := c.Escrow(1)
	require.Equal(t, isMalformed, c.One("operator", &ledgerv1.RefundJob{}))
	require.Equal(t, isMalformed, c.One("operator", &ledgerv1.RefundJob{JobId: o.JobID[:], Reason: strings.Repeat("x", 65)}))
	require.Equal(t, notOperator, c.One("client", refund(o)))
	require.Equal(t, notOpen, c.One("operator2", refund(o)))
	require.Equal(t, ok, c.One("operator", refund(o)))
	require.Equal(t, alreadyRefunding, c.One("operator", refund(o)))
}

func TestARefundIsFinalAfterItsWindow(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	o := c.Escrow(1)
	require.Equal(t, ok, c.One("operator", refund(o)))
	escrow, _ := c.State.Escrow(o.Operator, o.JobID)
	require.Equal(t, c.State.LedgerTimeUS()+2_000_000, escrow.RefundFinalUS)
	c.Block()
	_, open := c.State.Escrow(o.Operator, o.JobID)
	require.True(t, open)
	c.Block()
	_, open = c.State.Escrow(o.Operator, o.JobID)
	require.False(t, open)
	require.Equal(t, ledgerv1.Settlement_OUTCOME_REFUNDED, c.Events[0].Settlement.Outcome)
	require.Equal(t, aitbc.Amount(1_000_000_000), c.Balance("client"))
	require.Equal(t, notOpen, c.One("operator", receipt(o, 1)))
}

func TestAReceiptBeatsARefundUntilItIsFinal(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]time.Duration{"at once": 0, "in the block in which it becomes final": time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := ledgertest.NewChain(t, ledgertest.Genesis())
			o := c.Escrow(1)
			require.Equal(t, ok, c.One("operator", refund(o)))
			c.Wait(wait)
			require.Equal(t, ok, c.One("operator", receipt(o, 1_000_000)))
			require.Equal(t, aitbc.Amount(20_000), c.Balance("miner"))
			c.Wait(5 * time.Second)
			require.Equal(t, aitbc.Amount(999_980_000), c.Balance("client"))
		})
	}
}

func TestAnEscrowReturnsAtItsDeadline(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	o := c.Escrow(1)
	c.Wait(time.UnixMicro(o.SettleByUS).Sub(c.Now()))
	_, open := c.State.Escrow(o.Operator, o.JobID)
	require.True(t, open)
	c.Block()
	require.Equal(t, []state.Event{{
		Kind: state.Settled, Operator: o.Operator, Job: o.JobID,
		Settlement: state.Settlement{Outcome: ledgerv1.Settlement_OUTCOME_EXPIRED, Client: o.Client, Refunded: o.MaxPrice},
	}}, c.Events)
	require.Equal(t, aitbc.Amount(1_000_000_000), c.Balance("client"))
	require.Zero(t, c.State.Supply().Escrowed)
}

func TestAReceiptInTheDeadlinesBlockStillCounts(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	o := c.Escrow(1)
	c.Wait(time.UnixMicro(o.SettleByUS).Sub(c.Now()))
	require.Equal(t, ok, c.One("operator", receipt(o, 1)))
}

func TestExpiriesAreBoundedAndLateOnesAreClosed(t *testing.T) {
	t.Parallel()
	g := ledgertest.Genesis()
	g.Params.MaxExpiriesPerBlock = 2
	c := ledgertest.NewChain(t, g)
	var orders []aitbc.Order
	var messages []any
	for n := range 5 {
		orders = append(orders, ledgertest.Order(ledgertest.Job(n), c.Now()))
		messages = append(messages, ledgertest.Submit(orders[n]))
	}
	require.True(t, c.Send("operator", messages...).Applied())
	c.Wait(time.UnixMicro(orders[0].SettleByUS).Sub(c.Now()))
	c.Block()
	require.Equal(t, int64(3), c.State.Supply().OpenEscrows)
	require.Equal(t, tooLate, c.One("operator", receipt(orders[4], 1)))
	require.Equal(t, int64(1), c.State.Supply().OpenEscrows)
	require.Equal(t, tooLate, c.One("operator", refund(orders[4])))
	require.Zero(t, c.State.Supply().OpenEscrows)
}

func TestAFinalRefundThatWaitsItsTurnIsClosed(t *testing.T) {
	t.Parallel()
	g := ledgertest.Genesis()
	g.Params.MaxExpiriesPerBlock = 1
	c := ledgertest.NewChain(t, g)
	one, two := c.Escrow(1), c.Escrow(2)
	require.True(t, c.Send("operator", refund(one), refund(two)).Applied())
	c.Wait(2 * time.Second)
	require.Len(t, c.State.Miners(aitbc.AccountID{}, 10), 2)
	c.Block()
	require.Equal(t, int64(1), c.State.Supply().OpenEscrows)
	require.Equal(t, notOpen, c.One("operator", receipt(two, 1)))
}

func TestAnOutageStopsTheClock(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	o := c.Escrow(1)
	before := c.State.LedgerTimeUS()
	c.Time = c.State.BlockTime().Add(24 * time.Hour)
	c.Block()
	require.Equal(t, before+10_000_000, c.State.LedgerTimeUS())
	_, open := c.State.Escrow(o.Operator, o.JobID)
	require.True(t, open)
	before = c.State.LedgerTimeUS()
	c.Block()
	require.Equal(t, before+1_000_000, c.State.LedgerTimeUS(), "it goes on from there")
}

func TestABlockWithoutEffectLeavesTheHashAlone(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	before := c.State.AppHash()
	c.Block()
	c.Block()
	require.Equal(t, before, c.State.AppHash())
}
