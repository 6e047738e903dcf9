package state

import (
	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

func (b *Block) transfer(signer aitbc.AccountID, m *ledgerv1.Transfer) *refusal {
	to, no := accountField("to", m.GetTo())
	if no != nil {
		return no
	}
	amount := aitbc.Amount(m.GetAmountUaitbc())
	if amount <= 0 {
		return malformed("amount is %d, want more than nothing", amount)
	}
	if _, there := b.account(to); !there && amount < b.base.params.DustLimit {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_DUST, "account %s is new: it must get %s at least, not %s", to, b.base.params.DustLimit, amount)
	}
	if no := b.debit(signer, amount); no != nil {
		return no
	}
	b.credit(to, amount)
	return nil
}

func (b *Block) grantAllowance(signer aitbc.AccountID, generation uint64, m *ledgerv1.GrantAllowance) *refusal {
	operator, no := accountField("operator", m.GetOperator())
	if no != nil {
		return no
	}
	if m.GetCapUaitbc() <= 0 || m.GetPerJobUaitbc() < 0 || m.GetPerDayUaitbc() < 0 || m.GetExpiresUs() < 0 {
		return malformed("a limit is negative, or the cap is nothing")
	}
	if m.GetExpiresUs() != 0 && m.GetExpiresUs() <= b.nowUS() {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_EXPIRED, "the allowance expired at %d, the ledger's clock is at %d", m.GetExpiresUs(), b.nowUS())
	}
	if no := b.mustBeOperator(operator); no != nil {
		return no
	}
	b.put(grantKey(signer, operator), Grant{
		Generation: generation,
		Remaining:  aitbc.Amount(m.GetCapUaitbc()),
		PerJob:     aitbc.Amount(m.GetPerJobUaitbc()),
		PerDay:     aitbc.Amount(m.GetPerDayUaitbc()),
		Day:        dayOf(b.nowUS()),
		ExpiresUS:  m.GetExpiresUs(),
	}.encode())
	return nil
}

func (b *Block) revokeAllowance(signer aitbc.AccountID, m *ledgerv1.RevokeAllowance) *refusal {
	operator, no := accountField("operator", m.GetOperator())
	if no != nil {
		return no
	}
	key := grantKey(signer, operator)
	if _, there := b.entries.Get(key); !there {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_ALLOWANCE, "there is no allowance to %s", operator)
	}
	b.remove(key)
	return nil
}

func (b *Block) registerOperator(signer aitbc.AccountID, m *ledgerv1.RegisterOperator) *refusal {
	if len(m.GetName()) > maxNameBytes {
		return malformed("name has %d bytes, at most %d", len(m.GetName()), maxNameBytes)
	}
	b.put(operatorKey(signer), Operator{Name: m.GetName()}.encode())
	return nil
}

func (b *Block) registerMiner(signer aitbc.AccountID, m *ledgerv1.RegisterMiner) *refusal {
	if len(m.GetName()) > maxNameBytes {
		return malformed("name has %d bytes, at most %d", len(m.GetName()), maxNameBytes)
	}
	miner, _ := load(b.entries, minerKey(signer), readMiner)
	miner.Name = m.GetName()
	b.put(minerKey(signer), miner.encode())
	return nil
}

func (b *Block) mustBeOperator(id aitbc.AccountID) *refusal {
	if _, there := b.entries.Get(operatorKey(id)); !there {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_NOT_OPERATOR, "account %s is not a registered operator", id)
	}
	return nil
}

func accountField(name string, b []byte) (aitbc.AccountID, *refusal) {
	if len(b) != len(aitbc.AccountID{}) {
		return aitbc.AccountID{}, malformed("%s has %d bytes, want %d", name, len(b), len(aitbc.AccountID{}))
	}
	return aitbc.AccountID(b), nil
}

func jobField(b []byte) (aitbc.JobID, *refusal) {
	if len(b) != len(aitbc.JobID{}) {
		return aitbc.JobID{}, malformed("job_id has %d bytes, want %d", len(b), len(aitbc.JobID{}))
	}
	return aitbc.JobID(b), nil
}

func hashField(name string, b []byte) (aitbc.Hash, *refusal) {
	if len(b) != len(aitbc.Hash{}) {
		return aitbc.Hash{}, malformed("%s has %d bytes, want %d", name, len(b), len(aitbc.Hash{}))
	}
	return aitbc.Hash(b), nil
}
