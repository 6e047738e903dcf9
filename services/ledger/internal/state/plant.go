package state

import (
	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/internal/crash"
)

// The faults below exist only in programs built for tools/chaos, which plants one at a time to see
// that its checker finds it. None of them breaks the supply's sum, which would halt the chain by itself.

// plantInClose has an escrow closed wrongly.
func (b *Block) plantInClose(ref jobRef, e Escrow, refunded aitbc.Amount) {
	switch {
	case !crash.Enabled:
	case crash.Planted("short-refund") && refunded > 0:
		b.plantedMove(e.Client, ref.operator, 1)
	case crash.Planted("unclosed-escrow"):
		e.Amount = 0
		b.put(escrowKey(ref), e.encode())
	}
}

// plantInPay has a miner paid wrongly.
func (b *Block) plantInPay(c *claim, e Escrow, paid aitbc.Amount) {
	switch {
	case !crash.Enabled:
	case crash.Planted("double-pay"):
		b.plantedMove(e.Client, c.lease.Miner, paid)
	case crash.Planted("other-payee"):
		b.plantedMove(c.lease.Miner, c.ref.operator, paid)
	}
}

// plantedMove takes from one account's balance for another's.
func (b *Block) plantedMove(from, to aitbc.AccountID, amount aitbc.Amount) {
	if b.debit(from, amount) == nil {
		b.credit(to, amount)
	}
}

// plantedOmission is a receipt that does not get into the log.
func plantedOmission() bool { return crash.Enabled && crash.Planted("no-leaf") }

// plantedDelay is an escrow that is due and stays.
func plantedDelay() bool { return crash.Enabled && crash.Planted("kept-escrow") }
