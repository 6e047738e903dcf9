package state

import (
	"fmt"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Supply says where every unit is.
type Supply struct {
	Balances, Escrowed, Staked, Unbonding, Burned aitbc.Amount
	// OpenEscrows counts the entries behind Escrowed.
	OpenEscrows int64
}

// Total sums the parts up.
func (s Supply) Total() aitbc.Amount {
	return s.Balances + s.Escrowed + s.Staked + s.Unbonding + s.Burned
}

// add counts an entry in (sign 1) or out (sign -1). It depends on what is stored alone, so that a
// mistake in how a message moves tokens cannot hide here.
func (s *Supply) add(key string, value []byte, sign aitbc.Amount) error {
	r := &reader{rest: value}
	var held aitbc.Amount
	switch key[0] {
	case keyAccount:
		held = readAccount(r).Balance
		s.Balances += sign * held
	case keyEscrow:
		held = readEscrow(r).Amount
		s.Escrowed += sign * held
		s.OpenEscrows += int64(sign)
	case keyMiner:
		miner := readMiner(r)
		held = min(miner.Stake, miner.unbonding())
		s.Staked += sign * miner.Stake
		s.Unbonding += sign * miner.unbonding()
	case keyBurned:
		held = r.amount()
		s.Burned += sign * held
	default:
		return nil
	}
	if err := r.end(); err != nil {
		return fmt.Errorf("entry %x: %w", key, err)
	}
	if held < 0 {
		return fmt.Errorf("%w: entry %x holds %d", errCorrupt, key, held)
	}
	return nil
}

// recount sums all entries up from nothing.
func recount(e *entries) (Supply, error) {
	var (
		supply Supply
		fault  error
	)
	e.Scan(func(key string, value []byte) bool {
		fault = supply.add(key, value, 1)
		return fault == nil
	})
	return supply, fault
}
