package state_test

import (
	"slices"
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
	balances  map[string]aitbc.Amount
	staked    aitbc.Amount
	unbonding []modelUnbonding
	slashed   bool
	burned    aitbc.Amount
	allowed   aitbc.Amount
	granted   bool
	grant     int // how many grants and revocations there were
	open      map[int]*modelEscrow
	used      map[int]bool
	receipts  uint64
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

func (m *model) allow(amount aitbc.Amount) bool {
	if amount <= 0 {
		return false
	}
	m.allowed, m.granted = amount, true
	m.grant++
	return true
}

func (m *model) revoke() bool {
	if !m.granted {
		return false
	}
	m.allowed, m.granted = 0, false
	m.grant++
	return true
}

func (m *model) bond(amount aitbc.Amount) bool {
	if amount <= 0 || m.balances["miner"] < amount || m.slashed {
		return false
	}
	m.balances["miner"] -= amount
	m.staked += amount
	return true
}

func (m *model) unbond(amount aitbc.Amount, now time.Time) bool {
	if amount <= 0 || m.staked < amount {
		return false
	}
	m.staked -= amount
	m.unbonding = append(m.unbonding, modelUnbonding{amount, now.Add(time.Minute)})
	return true
}

func (m *model) slash() bool {
	taken := m.staked
	for _, u := range m.unbonding {
		taken += u.amount
	}
	if m.slashed || taken == 0 {
		return false
	}
	m.staked, m.unbonding, m.slashed = 0, nil, true
	m.balances["client"] += taken / 2
	m.burned += taken - taken/2
	return true
}

func (m *model) submit(n int, o aitbc.Order) bool {
	if m.used[n] || m.balances["client"] < o.MaxPrice || m.allowed < o.MaxPrice {
		return false
	}
	m.balances["client"] -= o.MaxPrice
	m.allowed -= o.MaxPrice
	m.open[n] = &modelEscrow{order: o, grant: m.grant}
	m.used[n] = true
	return true
}

func (m *model) end(n int, paid aitbc.Amount) {
	o := m.open[n].order
	fee := paid * 15 / 1_000
	m.balances["miner"] += paid - fee
	m.burned += fee
	m.balances["client"] += o.MaxPrice - paid
	if m.open[n].grant == m.grant {
		m.allowed += o.MaxPrice - paid
	}
	delete(m.open, n)
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
	names := []string{"client", "operator", "miner", "nobody"}
	n := rapid.IntRange(0, 5).Draw(t, "job")
	amount := aitbc.Amount(rapid.Int64Range(-1, 3_000_000).Draw(t, "amount"))
	order := ledgertest.Order(ledgertest.Job(n), c.Now())
	order.MaxPrice = max(1, amount)
	now := c.Now()
	var want bool
	var got ledgerv1.ResultCode
	switch rapid.IntRange(0, 9).Draw(t, "message") {
	case 0:
		from := rapid.SampledFrom(names[:3]).Draw(t, "from")
		to := rapid.SampledFrom(names).Draw(t, "to")
		want, got = m.transfer(from, to, amount), c.One(from, transfer(to, int64(amount)))
	case 1:
		want, got = m.bond(amount), c.One("miner", &ledgerv1.BondStake{AmountUaitbc: int64(amount)})
	case 2:
		want, got = m.submit(n, order), c.One("operator", ledgertest.Submit(order))
	case 3:
		if e, open := m.open[n]; open {
			order = e.order
		}
		metered := rapid.Int64Range(0, 61_000_000).Draw(t, "metered")
		want, got = m.pay(n, metered), c.One("operator", receipt(order, metered))
	case 4:
		want, got = m.refund(n, now), c.One("operator", refund(order))
	case 5:
		c.Wait(time.Duration(rapid.Int64Range(1, 180_000_000).Draw(t, "wait us")) * time.Microsecond)
		m.passed(time.UnixMicro(c.State.LedgerTimeUS()))
		return
	case 6:
		want, got = m.unbond(amount, now), c.One("miner", unbond(int64(amount)))
	case 7:
		want, got = m.slash(), c.One("client", ledgertest.Work{Order: order, Miner: "miner", ComputeUS: now.UnixMicro()}.Evidence())
	case 8:
		want, got = m.allow(amount), c.One("client", grant("operator", int64(amount)))
	case 9:
		want, got = m.revoke(), c.One("client", revoke("operator"))
	}
	require.Equal(t, want, got == ok, "code %s", got)
	m.passed(now)
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
			allowed:  1_000_000_000, granted: true, staked: 100_000_000, open: map[int]*modelEscrow{}, used: map[int]bool{},
		}
		// Order ids are never free again while a test runs: replay keys last as long as escrows do.
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
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
	require.Equal(t, m.staked, supply.Staked)
	require.Equal(t, m.burned, supply.Burned)
	require.Equal(t, c.State.Info().Supply, supply.Total())
	require.Equal(t, int64(len(m.open)), supply.OpenEscrows)
	require.Equal(t, m.receipts, c.State.Receipts())
	g, _ := c.State.Grant(ledgertest.ID("client"), ledgertest.ID("operator"))
	require.Equal(t, m.allowed, g.Remaining)
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
