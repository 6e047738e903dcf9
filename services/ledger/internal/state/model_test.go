package state_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// model is the ledger in a few maps: what must come out, told as simply as possible.
type model struct {
	balances   map[string]aitbc.Amount
	staked     map[string]aitbc.Amount // of those who are miners
	unbonding  []modelUnbonding
	slashed    bool
	burned     aitbc.Amount
	allowed    aitbc.Amount
	grants     int // how many there were; the last one holds if granted
	granted    bool
	open       map[int]*modelEscrow
	used       map[int]int64 // by the minute in which the order expires
	receipts   uint64
	feeBps     aitbc.Amount
	operators  map[string]bool
	validators map[string]int64
	keys       int         // that "miner2" has had
	oldKeys    []time.Time // until when those before the last are good
}

type modelUnbonding struct {
	amount aitbc.Amount
	due    time.Time
}

type modelEscrow struct {
	order       aitbc.Order
	grant       int
	refundFinal time.Time
}

func (m *model) transfer(from, to string, amount aitbc.Amount) bool {
	if _, there := m.balances[to]; amount <= 0 || m.balances[from] < amount || (!there && amount < 1_000) {
		return false
	}
	m.balances[from] -= amount
	m.balances[to] += amount
	return true
}

func (m *model) bond(who string, amount aitbc.Amount) bool {
	if _, isMiner := m.staked[who]; !isMiner || amount <= 0 || m.balances[who] < amount || (who == "miner" && m.slashed) {
		return false
	}
	m.balances[who] -= amount
	m.staked[who] += amount
	return true
}

func (m *model) registerMiner(who string) bool {
	if _, isMiner := m.staked[who]; !isMiner {
		m.staked[who] = 0
	}
	return true
}

func (m *model) unbond(amount aitbc.Amount, now time.Time) bool {
	if amount <= 0 || m.staked["miner"] < amount {
		return false
	}
	m.staked["miner"] -= amount
	m.unbonding = append(m.unbonding, modelUnbonding{amount, now.Add(time.Minute)})
	return true
}

func (m *model) slash() bool {
	taken := m.staked["miner"]
	for _, u := range m.unbonding {
		taken += u.amount
	}
	if m.slashed || taken == 0 {
		return false
	}
	m.staked["miner"], m.unbonding, m.slashed = 0, nil, true
	m.balances["client"] += taken / 2
	m.burned += taken - taken/2
	return true
}

func (m *model) submit(n int, o aitbc.Order) bool {
	_, used := m.used[n]
	if used || m.open[n] != nil || m.balances["client"] < o.MaxPrice || !m.granted || m.allowed < o.MaxPrice {
		return false
	}
	m.balances["client"] -= o.MaxPrice
	m.allowed -= o.MaxPrice
	m.open[n] = &modelEscrow{order: o, grant: m.grants}
	m.used[n] = o.ExpiresUS / time.Minute.Microseconds()
	return true
}

func (m *model) end(n int, paid aitbc.Amount) {
	e := m.open[n]
	o := e.order
	fee := paid * m.feeBps / 10_000
	m.balances["miner"] += paid - fee
	m.burned += fee
	m.balances["client"] += o.MaxPrice - paid
	if m.granted && e.grant == m.grants {
		m.allowed += o.MaxPrice - paid
	}
	delete(m.open, n)
}

// grant sets what the operator may escrow; of the allowances to others the model keeps nothing.
func (m *model) grant(to string, amount aitbc.Amount) bool {
	if amount <= 0 || !m.operators[to] {
		return false
	}
	if to == "operator" {
		m.granted, m.allowed = true, amount
		m.grants++
	}
	return true
}

func (m *model) revoke() bool {
	was := m.granted
	m.granted, m.allowed = false, 0
	return was
}

func (m *model) rotate(now time.Time) bool {
	m.oldKeys = slices.DeleteFunc(m.oldKeys, func(until time.Time) bool { return until.Before(now) })
	if len(m.oldKeys) == 4 {
		return false
	}
	m.oldKeys = append(m.oldKeys, now.Add(time.Minute))
	m.keys++
	return true
}

func (m *model) setFee(by string, bps uint32) bool {
	if by != "operator" || bps > 10_000 {
		return false
	}
	m.feeBps = aitbc.Amount(bps)
	return true
}

func (m *model) setPower(name string, power int64) bool {
	_, there := m.validators[name]
	others := len(m.validators)
	if there {
		others--
	}
	switch {
	case power < 0 || (power == 0 && (!there || others == 0)):
		return false
	case power == 0:
		delete(m.validators, name)
	default:
		m.validators[name] = power
	}
	return true
}

func (m *model) pay(n int, meteredUS int64) bool {
	e, open := m.open[n]
	if !open || meteredUS > 60_000_000 {
		return false
	}
	m.end(n, min(aitbc.Amount(meteredUS*20_000/1_000_000), e.order.MaxPrice))
	m.receipts++
	return true
}

func (m *model) refund(n int, now time.Time) bool {
	e, open := m.open[n]
	if !open || !e.refundFinal.IsZero() {
		return false
	}
	e.refundFinal = now.Add(2 * time.Second)
	return true
}

// passed lets escrows return that are due by now.
func (m *model) passed(now time.Time) {
	for n, e := range m.open {
		refunded := !e.refundFinal.IsZero() && !now.Before(e.refundFinal)
		if refunded || now.UnixMicro() >= e.order.SettleByUS {
			m.end(n, 0)
		}
	}
	maps.DeleteFunc(m.used, func(_ int, minute int64) bool { return minute < now.UnixMicro()/time.Minute.Microseconds() })
	m.unbonding = slices.DeleteFunc(m.unbonding, func(u modelUnbonding) bool {
		if now.Before(u.due) {
			return false
		}
		m.balances["miner"] += u.amount
		return true
	})
}

// play sends one random message to the chain and does the same to the model.
func play(t *rapid.T, c *ledgertest.Chain, m *model) {
	now := c.Now()
	var want bool
	var got ledgerv1.ResultCode
	switch rapid.IntRange(0, 10).Draw(t, "part") {
	case 0, 1, 2:
		want, got = playMoney(t, c, m)
	case 3, 4, 5:
		want, got = playJob(t, c, m)
	case 6, 7, 8:
		want, got = playRole(t, c, m)
	case 9:
		playBatch(t, c, m)
		m.passed(now)
		return
	default:
		c.Wait(time.Duration(rapid.Int64Range(1, 180_000_000).Draw(t, "wait us")) * time.Microsecond)
		m.passed(time.UnixMicro(c.State.LedgerTimeUS()))
		return
	}
	require.Equal(t, want, got == ok, "code %s", got)
	m.passed(now)
}

// playMoney moves tokens and stakes, and says how much of them others may.
func playMoney(t *rapid.T, c *ledgertest.Chain, m *model) (bool, ledgerv1.ResultCode) {
	names := []string{"client", "operator", "miner", "nobody"}
	amount := aitbc.Amount(rapid.Int64Range(-1, 3_000_000).Draw(t, "amount"))
	switch rapid.IntRange(0, 4).Draw(t, "money") {
	case 0:
		from := rapid.SampledFrom(names[:3]).Draw(t, "from")
		to := rapid.SampledFrom(names).Draw(t, "to")
		return m.transfer(from, to, amount), c.One(from, transfer(to, int64(amount)))
	case 1:
		who := rapid.SampledFrom(names[1:3]).Draw(t, "who")
		return m.bond(who, amount), c.One(who, &ledgerv1.BondStake{AmountUaitbc: int64(amount)})
	case 2:
		return m.unbond(amount, c.Now()), c.One("miner", unbond(int64(amount)))
	case 3:
		to := rapid.SampledFrom([]string{"operator", "newcomer"}).Draw(t, "to")
		return m.grant(to, amount), c.One("client", grant(to, int64(amount)))
	default:
		return m.revoke(), c.One("client", revoke("operator"))
	}
}

// playJob makes and ends escrows, and slashes.
func playJob(t *rapid.T, c *ledgertest.Chain, m *model) (bool, ledgerv1.ResultCode) {
	n := rapid.IntRange(0, 5).Draw(t, "job")
	order := ledgertest.Order(ledgertest.Job(n), c.Now())
	order.MaxPrice = aitbc.Amount(rapid.Int64Range(1, 3_000_000).Draw(t, "max price"))
	now := c.Now()
	switch rapid.IntRange(0, 9).Draw(t, "step") {
	case 0, 1, 2:
		return m.submit(n, order), c.One("operator", ledgertest.Submit(order))
	case 3, 4, 5:
		if e, open := m.open[n]; open {
			order = e.order
		}
		metered := rapid.Int64Range(0, 61_000_000).Draw(t, "metered")
		return m.pay(n, metered), c.One("operator", receipt(order, metered))
	case 6, 7, 8:
		return m.refund(n, now), c.One("operator", refund(order))
	default:
		evidence := ledgertest.Work{Order: order, Miner: "miner", ComputeUS: now.UnixMicro()}.Evidence()
		return m.slash(), c.One("client", evidence)
	}
}

// playBatch makes and ends escrows by one transaction whose messages inherit what they can.
func playBatch(t *rapid.T, c *ledgertest.Chain, m *model) {
	var messages []any
	var want, got []bool
	for range rapid.IntRange(2, 6).Draw(t, "messages") {
		n := rapid.IntRange(0, 5).Draw(t, "job")
		order := ledgertest.Order(ledgertest.Job(n), c.Now())
		if rapid.Bool().Draw(t, "escrow") {
			order.MaxPrice = aitbc.Amount(rapid.Int64Range(1, 3).Draw(t, "max price")) * 1_000_000
			messages = append(messages, ledgertest.Submit(order))
			want = append(want, m.submit(n, order))
			continue
		}
		if e, open := m.open[n]; open {
			order = e.order
		}
		metered := rapid.Int64Range(0, 61_000_000).Draw(t, "metered")
		messages = append(messages, receipt(order, metered))
		want = append(want, m.pay(n, metered))
	}
	for _, r := range c.Block(c.SignCompact("operator", messages...))[0].Messages {
		got = append(got, r.Code == ok)
	}
	require.Equal(t, want, got)
}

// playRole changes who may do what, by which key and by what rules.
func playRole(t *rapid.T, c *ledgertest.Chain, m *model) (bool, ledgerv1.ResultCode) {
	switch rapid.IntRange(0, 4).Draw(t, "role") {
	case 0:
		m.operators["newcomer"] = true
		return true, c.One("newcomer", &ledgerv1.RegisterOperator{Name: "new"})
	case 1:
		return m.registerMiner("operator"), c.One("operator", &ledgerv1.RegisterMiner{Name: "too"})
	case 2:
		from := m.keys
		return m.rotate(c.Now()), rotate(t, c, modelKey(from), modelKey(from+1))
	case 3:
		by := rapid.SampledFrom([]string{"operator", "client"}).Draw(t, "by")
		bps := rapid.Uint32Range(0, 11_000).Draw(t, "fee")
		return m.setFee(by, bps), c.One(by, &ledgerv1.UpdateParams{FeeBps: &bps})
	default:
		name := rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "validator")
		power := rapid.Int64Range(-1, 3).Draw(t, "power")
		update := &ledgerv1.ValidatorUpdate{PublicKey: ledgertest.Public(name), Power: power}
		return m.setPower(name, power), c.One("operator", &ledgerv1.UpdateValidators{Updates: []*ledgerv1.ValidatorUpdate{update}})
	}
}

// modelKey names the keys that "miner2" has, one after the other.
func modelKey(n int) string { return "miner2" + strings.Repeat("'", n) }

// rotate has the account of "miner2" go from one key to another.
func rotate(t *rapid.T, c *ledgertest.Chain, from, to string) ledgerv1.ResultCode {
	id := ledgertest.ID("miner2")
	account, _ := c.State.Account(id)
	raw, _, err := aitbc.SignTx(ledgertest.Key(from), &ledgerv1.TxBody{
		Version: aitbc.TxVersion, ChainId: ledgertest.ChainID, Signer: id[:], ExpiresUs: c.Now().Add(time.Minute).UnixMicro(),
		Sequence: account.NextSequence, Messages: []*ledgerv1.Message{ledgertest.Message(ledgertest.Rotation("miner2", to))},
	})
	require.NoError(t, err)
	result := c.Block(raw)[0]
	require.Zero(t, result.Code, result.Detail)
	return result.Messages[0].Code
}

func TestTheLedgerDoesWhatAFewMapsDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		g := ledgertest.Genesis()
		g.Params.MaxExpiryAheadUS = time.Hour.Microseconds()
		g.Params.FeeBps = 150
		c := ledgertest.NewChain(t, g)
		m := &model{
			balances: map[string]aitbc.Amount{"client": 1_000_000_000, "operator": 10_000_000, "miner": 0},
			staked:   map[string]aitbc.Amount{"miner": 100_000_000}, allowed: 1_000_000_000, granted: true, feeBps: 150,
			open: map[int]*modelEscrow{}, used: map[int]int64{}, operators: map[string]bool{"operator": true}, validators: map[string]int64{},
		}
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			play(r, c, m)
			compare(r, c, m)
		}
	})
}

func compare(t *rapid.T, c *ledgertest.Chain, m *model) {
	for name, balance := range m.balances {
		require.Equal(t, balance, c.Balance(name), name)
	}
	supply := c.State.Supply()
	require.Equal(t, m.staked["miner"]+m.staked["operator"], supply.Staked)
	require.Equal(t, m.burned, supply.Burned)
	require.Equal(t, c.State.Info().Supply, supply.Total())
	require.Equal(t, int64(len(m.open)), supply.OpenEscrows)
	require.Equal(t, m.receipts, c.State.Receipts())
	g, _ := c.State.Grant(ledgertest.ID("client"), ledgertest.ID("operator"))
	require.Equal(t, m.allowed, g.Remaining)
	rotated, _ := c.State.Account(ledgertest.ID("miner2"))
	require.Equal(t, ledgertest.Public(modelKey(m.keys)), rotated.PublicKey)
	validators := map[string]int64{}
	for _, v := range c.State.Validators() {
		validators[string(v.PublicKey)] = v.Power
	}
	require.Len(t, validators, len(m.validators))
	for name, power := range m.validators {
		require.Equal(t, power, validators[string(ledgertest.Public(name))], name)
	}
}

// TestTheSameBlocksGiveTheSameState plays blocks on a chain that runs through, and on one that is
// stored and loaded again after each block.
func TestTheSameBlocksGiveTheSameState(t *testing.T) {
	t.Parallel()
	through := ledgertest.NewChain(t, ledgertest.Genesis())
	stored := ledgertest.NewChain(t, ledgertest.Genesis())
	for n := range 12 {
		o := ledgertest.Order(ledgertest.Job(n), through.Now())
		txs := [][]byte{through.Sign("operator", ledgertest.Submit(o), transfer("miner", int64(n)))}
		if n%3 == 1 {
			txs = append(txs, through.Sign("operator", receipt(o, 1_000_000)), []byte("rubbish"))
		}
		if n%3 == 2 {
			txs = append(txs, through.Sign("operator", refund(o)))
		}
		require.Equal(t, through.Block(txs...), stored.Block(txs...))
		require.Equal(t, through.State.Meta(), stored.State.Meta())
		meta, err := state.DecodeMeta(stored.State.Meta().Encode())
		require.NoError(t, err)
		stored.State, err = state.Load(meta, stored.State.Entries())
		require.NoError(t, err)
	}
	require.NotZero(t, through.State.Receipts())
}

func TestWritesAreAllThatChanged(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	o := c.Escrow(1)
	before := map[string][]byte{}
	for key, value := range c.State.Entries() {
		before[key] = value
	}
	block := c.State.Begin(state.Context{Height: 9, Time: c.Time}, aitbc.Verify)
	require.True(t, block.Apply(c.Sign("operator", receipt(o, 5), transfer("miner", 1<<60))).Applied())
	outcome, err := block.End()
	require.NoError(t, err)
	require.True(t, slices.IsSortedFunc(outcome.Writes, func(a, b state.Write) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	}))
	for _, w := range outcome.Writes {
		before[w.Key] = w.Value
		if w.Value == nil {
			delete(before, w.Key)
		}
	}
	after := map[string][]byte{}
	for key, value := range outcome.Next.Entries() {
		after[key] = value
	}
	require.Equal(t, after, before)
}

func TestACorruptStateIsNotLoaded(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	c.Escrow(1)
	for key, value := range c.State.Entries() {
		without := func(yield func(string, []byte) bool) {
			for k, v := range c.State.Entries() {
				if k != key && !yield(k, v) {
					return
				}
			}
		}
		_, err := state.Load(c.State.Meta(), without)
		require.Error(t, err, "without %x", key)
		changed := func(yield func(string, []byte) bool) {
			for k, v := range c.State.Entries() {
				if k == key {
					v = append(slices.Clone(value[:len(value)-1]), value[len(value)-1]+1)
				}
				if !yield(k, v) {
					return
				}
			}
		}
		_, err = state.Load(c.State.Meta(), changed)
		require.Error(t, err, "changed %x", key)
	}
}
