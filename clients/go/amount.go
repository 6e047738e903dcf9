package aitbc

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Amount is a number of uaitbc, the ledger's unit.
type Amount int64

const (
	// UnitsPerCoin is how many uaitbc one aitbc has.
	UnitsPerCoin = 1_000_000
	// CoinSuffix ends an amount's text.
	CoinSuffix = "aitbc"

	coinDecimals = 6
)

// ParseAmount reads coin text: a decimal number with at most six decimals and the suffix "aitbc",
// such as "0.25aitbc". Errors: [ErrMalformed]; negative amounts are malformed.
func ParseAmount(s string) (Amount, error) {
	malformed := func(why string) (Amount, error) {
		return 0, fmt.Errorf("amount %q: %w: %s, want coin text such as \"0.25aitbc\"", s, ErrMalformed, why)
	}
	number, ok := strings.CutSuffix(s, CoinSuffix)
	if !ok {
		return malformed("no suffix " + CoinSuffix)
	}
	whole, fraction, hasPoint := strings.Cut(number, ".")
	if !digits(whole) || (hasPoint && !digits(fraction)) {
		return malformed("not a decimal number")
	}
	if len(fraction) > coinDecimals {
		return malformed("more than six decimals")
	}
	fraction += strings.Repeat("0", coinDecimals-len(fraction))
	units, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil {
		return malformed("too large")
	}
	return Amount(units), nil
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// String gives the amount as coin text, without needless zeros.
func (a Amount) String() string { return a.Decimal() + CoinSuffix }

// MarshalText gives the amount as coin text.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads coin text. Errors: [ErrMalformed].
func (a *Amount) UnmarshalText(text []byte) (err error) {
	*a, err = ParseAmount(string(text))
	return err
}

// Decimal gives the amount in aitbc as a decimal number, without needless zeros.
func (a Amount) Decimal() string {
	sign, units := "", uint64(a)
	if a < 0 {
		sign, units = "-", -units
	}
	whole, fraction := units/UnitsPerCoin, units%UnitsPerCoin
	if fraction == 0 {
		return sign + strconv.FormatUint(whole, 10)
	}
	return sign + strconv.FormatUint(whole, 10) + "." + strings.TrimRight(fmt.Sprintf("%06d", fraction), "0")
}

// Price gives what a metered time costs: floor(microseconds x price / 1,000,000), never more than
// limit. A negative time or price costs nothing.
func Price(metered time.Duration, perSecond, limit Amount) Amount {
	us := metered.Microseconds()
	if us <= 0 || perSecond <= 0 || limit <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(us), uint64(perSecond))
	if high >= UnitsPerCoin {
		return limit
	}
	cost, _ := bits.Div64(high, low, UnitsPerCoin)
	if cost > math.MaxInt64 {
		return limit
	}
	return min(Amount(cost), limit)
}
