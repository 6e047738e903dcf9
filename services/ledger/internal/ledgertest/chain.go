package ledgertest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// Chain makes blocks of a state, without CometBFT. After each it recounts the supply.
type Chain struct {
	t     testing.TB
	State *state.State
	// Time is the next block's.
	Time time.Time
	// Events are the last block's.
	Events []state.Event
	// LogNodes are the nodes of the receipt log's tree that the last block completed.
	LogNodes []state.LogNode
	// Movements are what the last block moved.
	Movements []state.Movement
	// Validators are those whose power the last block changed.
	Validators []state.Validator
}

// NewChain starts a chain from genesis.
func NewChain(t testing.TB, g state.Genesis) *Chain {
	t.Helper()
	return &Chain{t: t, State: State(t, g), Time: g.Time.Add(time.Second)}
}

// Fork gives a chain that goes on from here on its own.
func (c *Chain) Fork(t testing.TB) *Chain {
	forked := *c
	forked.t = t
	return &forked
}

// Block makes a block of the transactions, one second after the last one.
func (c *Chain) Block(txs ...[]byte) []state.TxResult {
	c.t.Helper()
	block := c.State.Begin(state.Context{Height: c.State.Height() + 1, Time: c.Time, Journal: true}, aitbc.Verify)
	before := c.State.Supply()
	results := make([]state.TxResult, len(txs))
	for i, tx := range txs {
		results[i] = block.Apply(tx)
	}
	outcome, err := block.End()
	require.NoError(c.t, err)
	c.State, c.Events, c.LogNodes, c.Validators = outcome.Next, outcome.Events, outcome.LogNodes, outcome.Validators
	c.Movements = outcome.Movements
	requireExplained(c.t, before, c.State.Supply(), c.Movements)
	c.Time = c.Time.Add(time.Second)
	recounted, err := c.State.Recount()
	require.NoError(c.t, err)
	require.Equal(c.t, recounted, c.State.Supply())
	require.Equal(c.t, c.State.Info().Supply, recounted.Total())
	return results
}

// requireExplained checks that movements sum to zero, each, and explain the change of every part.
func requireExplained(t testing.TB, before, after state.Supply, movements []state.Movement) {
	t.Helper()
	sums := map[state.Book]aitbc.Amount{}
	for _, m := range movements {
		var sum aitbc.Amount
		for _, p := range m.Postings {
			sum += p.Amount
			sums[p.Book] += p.Amount
		}
		require.Zero(t, sum, "%+v", m)
	}
	require.Equal(t, after.Balances-before.Balances, sums[state.BookBalance])
	require.Equal(t, after.Escrowed-before.Escrowed, sums[state.BookEscrow])
	require.Equal(t, after.Staked-before.Staked, sums[state.BookStake])
	require.Equal(t, after.Unbonding-before.Unbonding, sums[state.BookUnbonding])
	require.Equal(t, after.Burned-before.Burned, sums[state.BookBurned])
}

// Now is the ledger's clock in the next block, if no outage comes before it.
func (c *Chain) Now() time.Time {
	return time.UnixMicro(c.State.LedgerTimeUS()).Add(c.Time.Sub(c.State.BlockTime()))
}

// Wait makes empty blocks until the ledger's clock in the next one has moved on by d.
func (c *Chain) Wait(d time.Duration) {
	c.t.Helper()
	end := c.Now().Add(d)
	for c.Now().Before(end) {
		c.Block()
		c.Time = c.Time.Add(min(end.Sub(c.Now()), 9*time.Second))
	}
}

// Send makes a block of one transaction with these messages, and gives the transaction's result.
func (c *Chain) Send(signer string, messages ...any) state.TxResult {
	c.t.Helper()
	return c.Block(c.Sign(signer, messages...))[0]
}

// Sign gives the bytes of a transaction with these messages and the signer's next sequence.
func (c *Chain) Sign(signer string, messages ...any) []byte {
	c.t.Helper()
	return c.tx(signer, messages).Sign(c.t)
}

// SignCompact gives the bytes of the same transaction with messages that inherit what they can.
func (c *Chain) SignCompact(signer string, messages ...any) []byte {
	c.t.Helper()
	tx := c.tx(signer, messages)
	tx.Compact = true
	return tx.Sign(c.t)
}

func (c *Chain) tx(signer string, messages []any) Tx {
	account, _ := c.State.Account(ID(signer))
	tx := Tx{Signer: signer, Expires: c.Now().Add(time.Minute), Sequence: account.NextSequence}
	for _, m := range messages {
		tx.Messages = append(tx.Messages, Message(m))
	}
	return tx
}

// One sends one message and gives its code.
func (c *Chain) One(signer string, message any) ledgerv1.ResultCode {
	c.t.Helper()
	result := c.Send(signer, message)
	require.Zero(c.t, result.Code, result.Detail)
	return result.Messages[0].Code
}

// Escrow makes the escrow of an order by the operator, on the client's allowance.
func (c *Chain) Escrow(n int) aitbc.Order {
	c.t.Helper()
	order := Order(Job(n), c.Now())
	require.Zero(c.t, c.One("operator", Submit(order)))
	return order
}

// Balance gives an account's balance.
func (c *Chain) Balance(name string) aitbc.Amount {
	account, _ := c.State.Account(ID(name))
	return account.Balance
}
