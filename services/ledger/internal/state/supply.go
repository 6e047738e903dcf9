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
	held, err := holdings(key, value)
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.Amount < 0 {
			return fmt.Errorf("%w: entry %x holds %d", errCorrupt, key, h.Amount)
		}
		*s.part(h.Book) += sign * h.Amount
	}
	if key[0] == keyEscrow {
		s.OpenEscrows += int64(sign)
	}
	return nil
}

// part is the sum of a book.
func (s *Supply) part(book Book) *aitbc.Amount {
	switch book {
	case BookBalance:
		return &s.Balances
	case BookEscrow:
		return &s.Escrowed
	case BookStake:
		return &s.Staked
	case BookUnbonding:
		return &s.Unbonding
	case BookBurned:
		return &s.Burned
	default:
		panic("no entry holds anything in this book")
	}
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
