package state

import (
	"slices"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

const (
	// maxUnbondings bounds a miner's entry.
	maxUnbondings = 16
	// maxReleasesPerBlock bounds the stakes that come back in one block.
	maxReleasesPerBlock = 1_000
)

func (b *Block) bondStake(signer aitbc.AccountID, m *ledgerv1.BondStake) *refusal {
	amount := aitbc.Amount(m.GetAmountUaitbc())
	if amount <= 0 {
		return malformed("amount is %d, want more than nothing", amount)
	}
	miner, no := b.signingMiner(signer)
	if no != nil {
		return no
	}
	if miner.SlashedUS != 0 {
		return slashed(signer, miner)
	}
	if no := b.debit(signer, amount); no != nil {
		return no
	}
	miner.Stake += amount
	b.put(minerKey(signer), miner.encode())
	return nil
}

func (b *Block) unbondStake(signer aitbc.AccountID, m *ledgerv1.UnbondStake) *refusal {
	amount := aitbc.Amount(m.GetAmountUaitbc())
	if amount <= 0 {
		return malformed("amount is %d, want more than nothing", amount)
	}
	miner, no := b.signingMiner(signer)
	if no != nil {
		return no
	}
	if amount > miner.Stake {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_STAKE, "miner %s has staked %s, %s are needed", signer, miner.Stake, amount)
	}
	due := b.nowUS() + b.base.params.UnbondingUS
	// A shorter unbonding time, set meanwhile, may put this before others.
	at, same := slices.BinarySearchFunc(miner.Unbonding, due, func(u Unbonding, due int64) int { return int(min(max(u.DueUS-due, -1), 1)) })
	switch {
	case same:
		miner.Unbonding[at].Amount += amount
	case len(miner.Unbonding) == maxUnbondings:
		return refuse(ledgerv1.ResultCode_RESULT_CODE_TOO_MANY, "%d unbondings of miner %s are on their way, wait for one", maxUnbondings, signer)
	default:
		miner.Unbonding = slices.Insert(miner.Unbonding, at, Unbonding{Amount: amount, DueUS: due})
		b.put(unbondKey(due, signer), present)
	}
	miner.Stake -= amount
	b.put(minerKey(signer), miner.encode())
	return nil
}

// release lets stakes arrive whose time has come, the longest due first, at most so many a block.
func (b *Block) release() {
	for _, key := range first(b.entries, keyUnbond, timeEnd(keyUnbond, b.nowUS()), maxReleasesPerBlock) {
		due, id := unbondAt(key)
		miner, _ := load(b.entries, minerKey(id), readMiner)
		at := slices.IndexFunc(miner.Unbonding, func(u Unbonding) bool { return u.DueUS == due })
		if at < 0 {
			panic("a stake is due that is not unbonding")
		}
		amount := miner.Unbonding[at].Amount
		miner.Unbonding = slices.Delete(miner.Unbonding, at, at+1)
		mark := b.mark()
		b.remove(key)
		b.put(minerKey(id), miner.encode())
		b.credit(id, amount)
		b.moved(mark, Movement{Kind: KindUnbonded})
	}
}

// slash takes all that a miner has staked: half is burned, half goes to whom it wronged. An odd
// unit is burned.
func (b *Block) slash(id, wronged aitbc.AccountID, miner Miner) {
	taken := miner.Stake + miner.unbonding()
	for _, u := range miner.Unbonding {
		b.remove(unbondKey(u.DueUS, id))
	}
	miner.Stake, miner.Unbonding, miner.SlashedUS = 0, nil, b.nowUS()
	b.put(minerKey(id), miner.encode())
	b.credit(wronged, taken/2)
	b.burn(taken - taken/2)
}

// burn puts tokens, which the caller has taken from somewhere, where nobody can get them.
func (b *Block) burn(amount aitbc.Amount) {
	if amount == 0 {
		return
	}
	burned, _ := load(b.entries, string(keyBurned), (*reader).amount)
	b.put(string(keyBurned), encodeInt(int64(burned+amount)))
}

func (b *Block) signingMiner(signer aitbc.AccountID) (Miner, *refusal) {
	miner, there := load(b.entries, minerKey(signer), readMiner)
	if !there {
		return Miner{}, refuse(ledgerv1.ResultCode_RESULT_CODE_NOT_MINER, "account %s is not a miner", signer)
	}
	return miner, nil
}

func slashed(id aitbc.AccountID, miner Miner) *refusal {
	return refuse(ledgerv1.ResultCode_RESULT_CODE_SLASHED, "miner %s was slashed at %d and can have no stake any more", id, miner.SlashedUS)
}
