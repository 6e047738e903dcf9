package state

import (
	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

const dayUS = 24 * 60 * 60 * 1_000_000

// dayOf gives the UTC day of an instant, counted from 1970.
func dayOf(us int64) int64 { return us / dayUS }

// on gives the grant as it is on a day: what was spent on another one does not count.
func (g Grant) on(day int64) Grant {
	if g.Day != day {
		g.Day, g.SpentToday = day, 0
	}
	return g
}

// spend takes an escrow from the client's grant to the operator. It gives the grant's generation
// and the day, which the escrow keeps.
func (b *Block) spend(client, operator aitbc.AccountID, amount aitbc.Amount) (Grant, *refusal) {
	none := func(format string, args ...any) (Grant, *refusal) {
		return Grant{}, refuse(ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_ALLOWANCE, format, args...)
	}
	g, there := load(b.entries, grantKey(client, operator), readGrant)
	if !there {
		return none("account %s gave operator %s no allowance", client, operator)
	}
	g = g.on(dayOf(b.nowUS()))
	switch {
	case g.ExpiresUS != 0 && b.nowUS() > g.ExpiresUS:
		return none("the allowance expired at %d", g.ExpiresUS)
	case amount > g.Remaining:
		return none("%s of the allowance are left, %s are needed", g.Remaining, amount)
	case g.PerJob != 0 && amount > g.PerJob:
		return none("the allowance is for %s a job, %s are needed", g.PerJob, amount)
	case g.PerDay != 0 && amount > g.PerDay-g.SpentToday:
		return none("the allowance has %s left today, %s are needed", g.PerDay-g.SpentToday, amount)
	}
	g.Remaining -= amount
	g.SpentToday += amount
	b.put(grantKey(client, operator), g.encode())
	return g, nil
}

// giveBack returns what an escrow did not use to the grant that paid for it, unless that has been
// revoked or replaced meanwhile, and to its day, if that is still the grant's last.
func (b *Block) giveBack(operator aitbc.AccountID, e Escrow, amount aitbc.Amount) {
	if !e.ByGrant || amount == 0 {
		return
	}
	key := grantKey(e.Client, operator)
	g, there := load(b.entries, key, readGrant)
	if !there || g.Generation != e.Generation {
		return
	}
	g.Remaining += amount
	if g.Day == e.Day {
		g.SpentToday -= amount
	}
	b.put(key, g.encode())
}
