package dispatch

import (
	"math"
	"math/bits"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// minExecution is the shortest execution limit of an order, and so what a price limit must pay for
// at least: in less no model says anything. maxExecution is the longest, which is the contract's.
const (
	minExecution = 100 * time.Millisecond
	maxExecution = time.Hour
)

// costs gives the most that may be billed for this much compute time.
func costs(execution time.Duration, perSecond aitbc.Amount) aitbc.Amount {
	return aitbc.Price(execution, perSecond, math.MaxInt64)
}

// buys gives the longest execution limit that costs no more than the amount, up to maxExecution.
func buys(amount, perSecond aitbc.Amount) time.Duration {
	if costs(maxExecution, perSecond) <= amount {
		return maxExecution
	}
	// The quotient is less than maxExecution, so it fits.
	high, low := bits.Mul64(uint64(max(amount, 0)), uint64(time.Second/time.Microsecond))
	us, _ := bits.Div64(high, low, uint64(perSecond))
	return microseconds(int64(us))
}

// leastPrice gives the smallest price limit that pays for minExecution.
func leastPrice(perSecond aitbc.Amount) aitbc.Amount {
	least := max(costs(minExecution, perSecond), 1)
	if buys(least, perSecond) < minExecution { // the cost was rounded down
		least++
	}
	return least
}
