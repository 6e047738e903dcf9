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

// The miner of the test network has staked 100 aitbc; it unbonds in a minute.
const staked = 100_000_000

func unbond(amount int64) *ledgerv1.UnbondStake { return &ledgerv1.UnbondStake{AmountUaitbc: amount} }

func TestStakeComesBackWhenItsTimeHasPassed(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	require.Equal(t, isMalformed, c.One("miner", unbond(0)))
	require.Equal(t, insufficientStake, c.One("miner", unbond(staked+1)))
	require.Equal(t, notMiner, c.One("client", unbond(1)))

	require.Zero(t, c.Send("miner", unbond(30), unbond(12)).Messages[1].Code)
	due := c.State.LedgerTimeUS() + time.Minute.Microseconds()
	supply := c.State.Supply()
	require.Equal(t, aitbc.Amount(42), supply.Unbonding)
	require.Equal(t, aitbc.Amount(staked-42), supply.Staked)

	for c.State.LedgerTimeUS() < due-time.Second.Microseconds() {
		c.Block()
		require.Zero(t, c.Balance("miner"))
	}
	c.Block()
	require.Equal(t, aitbc.Amount(42), c.Balance("miner"))
	require.Zero(t, c.State.Supply().Unbonding)
}

func TestAMinerHasSoManyUnbondingsAtOnce(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	for range 16 {
		require.Equal(t, ok, c.One("miner", unbond(1)))
	}
	require.Equal(t, tooMany, c.One("miner", unbond(1)))
	c.Wait(time.Minute)
	require.Equal(t, ok, c.One("miner", unbond(1)))
}

func work(c *ledgertest.Chain) ledgertest.Work {
	return ledgertest.Work{Order: ledgertest.Order(ledgertest.Job(1), c.Now()), Miner: "miner", Attempt: 1, ComputeUS: 5}
}

func TestTwoStatementsForOneLeaseCostTheStake(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	require.Equal(t, ok, c.One("miner", unbond(31)))
	before := c.Balance("client")
	evidence := work(c).Evidence()
	require.Equal(t, ok, c.One("newcomer", evidence)) // anybody may send it
	supply := c.State.Supply()
	require.Zero(t, supply.Staked+supply.Unbonding)
	require.Equal(t, aitbc.Amount(staked/2), supply.Burned)
	require.Equal(t, before+staked/2, c.Balance("client"))

	require.Equal(t, isSlashed, c.One("newcomer", evidence))
	require.Equal(t, ok, c.One("client", transfer("miner", 1_000)))
	require.Equal(t, isSlashed, c.One("miner", &ledgerv1.BondStake{AmountUaitbc: 1}))
	require.Equal(t, insufficientStake, c.One("miner", unbond(1)))
	c.Wait(2 * time.Minute)
	require.Equal(t, aitbc.Amount(1_000), c.Balance("miner"), "what was unbonding is gone too")
}

func TestWhatIsNoEvidence(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*ledgerv1.SubmitEvidence)
		want   ledgerv1.ResultCode
	}{
		"a statement given twice": {func(m *ledgerv1.SubmitEvidence) {
			m.SecondStatementBody, m.SecondStatementSignature = m.GetFirstStatementBody(), m.GetFirstStatementSignature()
		}, badEvidence},
		"two running statements": {func(m *ledgerv1.SubmitEvidence) {
			m.FirstStatementBody, m.FirstStatementSignature = running(m.GetFirstStatementBody())
			m.SecondStatementBody, m.SecondStatementSignature = running(m.GetSecondStatementBody())
		}, badEvidence},
		"a running and a final statement": {func(m *ledgerv1.SubmitEvidence) {
			m.FirstStatementBody, m.FirstStatementSignature = running(m.GetFirstStatementBody())
		}, badEvidence},
		"another order":             {func(m *ledgerv1.SubmitEvidence) { m.OrderBody[len(m.GetOrderBody())-1]++ }, badEvidence},
		"another lease":             {func(m *ledgerv1.SubmitEvidence) { m.LeaseBody[len(m.GetLeaseBody())-1]++ }, badEvidence},
		"no order":                  {func(m *ledgerv1.SubmitEvidence) { m.OrderBody = nil }, badEvidence},
		"no lease":                  {func(m *ledgerv1.SubmitEvidence) { m.LeaseBody = nil }, badEvidence},
		"no statement":              {func(m *ledgerv1.SubmitEvidence) { m.SecondStatementBody = nil }, badEvidence},
		"a lease nobody signed":     {func(m *ledgerv1.SubmitEvidence) { m.LeaseSignature = nil }, badLease},
		"a statement nobody signed": {func(m *ledgerv1.SubmitEvidence) { m.SecondStatementSignature = nil }, badStatement},
		"one signed for something else": {func(m *ledgerv1.SubmitEvidence) {
			m.SecondStatementSignature = m.GetFirstStatementSignature()
		}, badStatement},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := ledgertest.NewChain(t, ledgertest.Genesis())
			m := work(c).Evidence()
			test.change(m)
			require.Equal(t, test.want, c.One("client", m))
			require.Equal(t, aitbc.Amount(staked), c.State.Supply().Staked)
		})
	}
}

// running gives the same as a running statement, signed by the miner.
func running(final []byte) (body, signature []byte) {
	s, err := aitbc.ParseStatement(final)
	if err != nil {
		panic(err)
	}
	s.Running = true
	return s.SigningBytes(), aitbc.Sign(ledgertest.Key("miner"), s.SigningBytes())
}

func TestEvidenceNeedsPeopleThatAreThere(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	w := work(c)
	w.Miner = "client"
	require.Equal(t, notMiner, c.One("client", w.Evidence()))
	w.Miner = "miner2"
	require.Equal(t, insufficientStake, c.One("client", w.Evidence()))
	w.Miner, w.Order.Operator = "miner", ledgertest.ID("client")
	require.Equal(t, notOperator, c.One("client", w.Evidence()))
	w = work(c)
	w.Order.Client = ledgertest.ID("nobody")
	require.Equal(t, unknownAccount, c.One("client", w.Evidence()))
}

func TestARotatedKeyIsGoodForPapersAlone(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	w := ledgertest.Work{Order: c.Escrow(1), Miner: "miner", Attempt: 1, ComputeUS: 5, MeteredUS: 5, FullySigned: true}
	late := ledgertest.Work{Order: c.Escrow(2), Miner: "miner", Attempt: 1, ComputeUS: 5, MeteredUS: 5, FullySigned: true}

	require.Equal(t, isMalformed, c.One("operator", &ledgerv1.RotateKey{}))
	require.Equal(t, badRotation, c.One("operator", ledgertest.Rotation("operator", "operator")))
	stolen := ledgertest.Rotation("client", "next") // a proof for another account
	require.Equal(t, badRotation, c.One("operator", stolen))
	require.Equal(t, ok, c.One("operator", ledgertest.Rotation("operator", "next")))
	require.Equal(t, badSignature, c.Send("operator", transfer("miner", 1)).Code, "the old key signs no transaction")

	require.Equal(t, ok, c.One("miner", ledgertest.Receipt(w)), "but papers, for the unbonding time")
	c.Wait(time.Minute + time.Second)
	require.Equal(t, badLease, c.One("miner", ledgertest.Receipt(late)))
}

func TestAClientsOldKeySignsNoOrders(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	o := ledgertest.Order(ledgertest.Job(1), c.Now())
	m := ledgertest.Submit(o)
	m.ClientSignature = aitbc.Sign(ledgertest.Key("client"), o.SigningBytes())
	require.Equal(t, ok, c.One("client", ledgertest.Rotation("client", "next")))
	require.Equal(t, badSignature, c.One("operator", m))
	m.ClientSignature = aitbc.Sign(ledgertest.Key("next"), o.SigningBytes())
	require.Equal(t, ok, c.One("operator", m))
}

func TestKeysAreRotatedSoManyTimes(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	names := []string{"client", "k1", "k2", "k3", "k4", "k5"}
	rotate := func(from, to string) ledgerv1.ResultCode {
		account, _ := c.State.Account(ledgertest.ID("client"))
		id := ledgertest.ID("client")
		raw, _, err := aitbc.SignTx(ledgertest.Key(from), &ledgerv1.TxBody{
			Version: aitbc.TxVersion, ChainId: ledgertest.ChainID, Signer: id[:], ExpiresUs: c.Now().Add(time.Minute).UnixMicro(),
			Sequence: account.NextSequence, Messages: []*ledgerv1.Message{ledgertest.Message(ledgertest.Rotation("client", to))},
		})
		require.NoError(t, err)
		result := c.Block(raw)[0]
		require.Zero(t, result.Code, result.Detail)
		return result.Messages[0].Code
	}
	for i := range 4 {
		require.Equal(t, ok, rotate(names[i], names[i+1]))
	}
	require.Equal(t, tooMany, rotate("k4", "k5"))
	c.Wait(time.Minute)
	require.Equal(t, ok, rotate("k4", "k5"))
}

func TestTheSettlementFeeIsBurned(t *testing.T) {
	t.Parallel()
	g := ledgertest.Genesis()
	g.Params.FeeBps = 150
	c := ledgertest.NewChain(t, g)
	w := ledgertest.Work{Order: c.Escrow(1), Miner: "miner", Attempt: 1, ComputeUS: 12_500_000, MeteredUS: 12_500_000}
	require.Equal(t, ok, c.One("operator", ledgertest.Receipt(w)))
	require.Equal(t, aitbc.Amount(250_000-3_750), c.Balance("miner"))
	require.Equal(t, aitbc.Amount(999_750_000), c.Balance("client"))
	require.Equal(t, aitbc.Amount(3_750), c.State.Supply().Burned)
	require.Equal(t, aitbc.Amount(3_750), c.Events[0].Settlement.Fee)
}

func TestTwoOperatorsUseOneJobIDWithoutHarm(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	require.Equal(t, ok, c.One("client", grant("operator2", 10_000_000)))
	o := c.Escrow(1)
	other := o
	other.Operator = ledgertest.ID("operator2")
	require.Equal(t, ok, c.One("operator2", ledgertest.Submit(other)))
	require.Equal(t, int64(2), c.State.Supply().OpenEscrows)
	require.Equal(t, ok, c.One("operator", receipt(o, 5)))
	require.Equal(t, ok, c.One("operator2", refund(other)))
	require.Equal(t, notOpen, c.One("operator", refund(o)))
}

func TestOnlyTheAuthorityChangesParameters(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		signer string
		change *ledgerv1.UpdateParams
		want   ledgerv1.ResultCode
	}{
		"the authority":               {"operator", &ledgerv1.UpdateParams{FeeBps: proto.Uint32(7), MinStakeUaitbc: proto.Int64(0)}, ok},
		"anybody else":                {"client", &ledgerv1.UpdateParams{FeeBps: proto.Uint32(7)}, notAuthority},
		"more than all":               {"operator", &ledgerv1.UpdateParams{FeeBps: proto.Uint32(10_001)}, badParams},
		"a contradiction":             {"operator", &ledgerv1.UpdateParams{MinPriceUaitbc: proto.Int64(5), MaxPriceUaitbc: proto.Int64(4)}, badParams},
		"nothing expires":             {"operator", &ledgerv1.UpdateParams{MaxExpiriesPerBlock: proto.Uint32(0)}, badParams},
		"rules that are far from now": {"operator", &ledgerv1.UpdateParams{RulesVersion: proto.Uint32(state.RulesVersion + 2)}, badParams},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := ledgertest.NewChain(t, ledgertest.Genesis())
			before := c.State.Params()
			require.Equal(t, test.want, c.One(test.signer, test.change))
			if test.want == ok {
				before.FeeBps, before.MinStake = 7, 0
			}
			require.Equal(t, before, c.State.Params())
		})
	}
}

func validators(key []byte, power int64) *ledgerv1.UpdateValidators {
	return &ledgerv1.UpdateValidators{Updates: []*ledgerv1.ValidatorUpdate{{PublicKey: key, Power: power}}}
}

func TestOnlyTheAuthorityChangesValidators(t *testing.T) {
	t.Parallel()
	a, b := ledgertest.Public("a"), ledgertest.Public("b")
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	require.Equal(t, notAuthority, c.One("client", validators(a, 5)))
	require.Equal(t, badValidators, c.One("operator", validators(a, 0)), "it is not there")
	require.Equal(t, ok, c.One("operator", validators(a, 5)))
	require.Len(t, c.Validators, 1)
	require.Equal(t, badValidators, c.One("operator", validators(a, 0)), "none would be left")
	require.Equal(t, badValidators, c.One("operator", validators(b, -1)))
	require.Equal(t, isMalformed, c.One("operator", validators(nil, 1)))
	require.Empty(t, c.Validators, "what was refused changed nothing")
	twice := validators(b, 1)
	twice.Updates = append(twice.Updates, twice.GetUpdates()...)
	require.Equal(t, badValidators, c.One("operator", twice))

	require.Len(t, c.Send("operator", validators(b, 7), validators(b, 8)).Messages, 2)
	require.Equal(t, int64(8), c.Validators[0].Power, "one change a block for consensus")
	require.Equal(t, ok, c.One("operator", validators(a, 0)))
	require.Equal(t, int64(0), c.Validators[0].Power)
	require.Equal(t, ok, c.Send("operator", validators(a, 7), validators(a, 0)).Messages[1].Code)
	require.Empty(t, c.Validators, "it came and went in one block")
	require.Len(t, c.State.Validators(), 1)
}
