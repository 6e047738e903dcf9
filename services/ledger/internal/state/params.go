package state

import (
	"errors"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Params are the ledger's parameters. Times are microseconds of ledger time.
type Params struct {
	// DefaultPrice is the price of a compute second when an order names none.
	DefaultPrice aitbc.Amount `json:"default_price_uaitbc"`
	// MinPrice and MaxPrice bound an order's price.
	MinPrice aitbc.Amount `json:"min_price_uaitbc"`
	MaxPrice aitbc.Amount `json:"max_price_uaitbc"`
	// MinGraceUS is the least time between the end of an order's execution limit, were it started
	// at once, and its settlement deadline.
	MinGraceUS int64 `json:"min_grace_us"`
	// MaxSettleAheadUS is how far ahead a settlement deadline may be.
	MaxSettleAheadUS int64 `json:"max_settle_ahead_us"`
	// RefundWindowUS is how long a receipt still beats a refund.
	RefundWindowUS int64 `json:"refund_window_us"`
	// MaxExpiryAheadUS is how far ahead an order or transaction may expire.
	MaxExpiryAheadUS int64 `json:"max_expiry_ahead_us"`
	// MaxBlockGapUS is the longest time between blocks that the ledger's clock follows.
	MaxBlockGapUS int64 `json:"max_block_gap_us"`
	// MinStake is the stake below which a miner is given no work. Coordinators hold to it; here it
	// is only kept.
	MinStake aitbc.Amount `json:"min_stake_uaitbc"`
	// MaxExpiriesPerBlock bounds the escrows that return by themselves in one block.
	MaxExpiriesPerBlock uint32 `json:"max_expiries_per_block"`
	// FeeBps is what a receipt burns of the payment, in basis points.
	FeeBps uint32 `json:"fee_bps"`
	// DustLimit is the least that a transfer to a new account must bring.
	DustLimit aitbc.Amount `json:"dust_limit_uaitbc"`
	// UnbondingUS is how long stake takes to come back, and how long old keys stay good for what
	// they signed.
	UnbondingUS int64 `json:"unbonding_us"`
	// RulesVersion says which rules hold. A program that does not know them must not go on.
	RulesVersion uint32 `json:"rules_version"`
}

// RulesVersion is the newest rules that this program knows.
const RulesVersion = aitbc.RulesInherit

// rulesRunning is from when on receipts for running statements count.
const rulesRunning = 2

// DefaultParams are a public network's: an hour of grace and a refund window of half a minute.
func DefaultParams() Params {
	return Params{
		DefaultPrice:        20_000,
		MinPrice:            1,
		MaxPrice:            1_000 * aitbc.UnitsPerCoin,
		MinGraceUS:          time.Hour.Microseconds(),
		MaxSettleAheadUS:    (7 * 24 * time.Hour).Microseconds(),
		RefundWindowUS:      (30 * time.Second).Microseconds(),
		MaxExpiryAheadUS:    (10 * time.Minute).Microseconds(),
		MaxBlockGapUS:       (10 * time.Second).Microseconds(),
		MinStake:            100 * aitbc.UnitsPerCoin,
		MaxExpiriesPerBlock: 1_000,
		FeeBps:              100,
		DustLimit:           1_000,
		UnbondingUS:         (7 * 24 * time.Hour).Microseconds(),
		RulesVersion:        RulesVersion,
	}
}

// DevParams are a development network's: what people wait for is shorter, and nothing is burned.
func DevParams() Params {
	p := DefaultParams()
	p.MinGraceUS = (2 * time.Minute).Microseconds()
	p.RefundWindowUS = (2 * time.Second).Microseconds()
	p.UnbondingUS = time.Minute.Microseconds()
	p.FeeBps = 0
	return p
}

// maxSpanUS bounds every span in the parameters, so that no sum of two with a time overflows.
const maxSpanUS = int64(10 * 365 * 24 * time.Hour / time.Microsecond)

// wholeBps is all of it in basis points.
const wholeBps = 10_000

// fee gives what is burned of a payment. It divides first: a product could overflow.
func (p Params) fee(paid aitbc.Amount) aitbc.Amount {
	bps := aitbc.Amount(p.FeeBps)
	return paid/wholeBps*bps + paid%wholeBps*bps/wholeBps
}

// Validate reports everything that is wrong with the parameters.
func (p Params) Validate() error {
	var faults []error
	span := func(name string, v, least int64) {
		if v < least || v > maxSpanUS {
			faults = append(faults, fmt.Errorf("%s is %d, want %d to %d", name, v, least, maxSpanUS))
		}
	}
	if p.MinPrice < 0 || p.DefaultPrice < p.MinPrice || p.MaxPrice < p.DefaultPrice {
		faults = append(faults, errors.New("want 0 <= min_price_uaitbc <= default_price_uaitbc <= max_price_uaitbc"))
	}
	if p.MinStake < 0 {
		faults = append(faults, errors.New("min_stake_uaitbc is negative"))
	}
	if p.FeeBps > wholeBps {
		faults = append(faults, fmt.Errorf("fee_bps is %d, at most %d", p.FeeBps, wholeBps))
	}
	if p.DustLimit < 0 {
		faults = append(faults, errors.New("dust_limit_uaitbc is negative"))
	}
	if p.RulesVersion == 0 {
		faults = append(faults, errors.New("rules_version is 0, the first is 1"))
	}
	if p.MaxExpiriesPerBlock == 0 {
		faults = append(faults, errors.New("max_expiries_per_block is 0, so escrows would never return"))
	}
	span("min_grace_us", p.MinGraceUS, 0)
	span("max_settle_ahead_us", p.MaxSettleAheadUS, p.MinGraceUS+1)
	span("refund_window_us", p.RefundWindowUS, 1)
	span("max_expiry_ahead_us", p.MaxExpiryAheadUS, 1)
	span("max_block_gap_us", p.MaxBlockGapUS, 1)
	span("unbonding_us", p.UnbondingUS, 1)
	if len(faults) > 0 {
		return fmt.Errorf("ledger parameters: %w", errors.Join(faults...))
	}
	return nil
}

func (p Params) encode() []byte {
	w := &writer{}
	w.amount(p.DefaultPrice)
	w.amount(p.MinPrice)
	w.amount(p.MaxPrice)
	w.int64(p.MinGraceUS)
	w.int64(p.MaxSettleAheadUS)
	w.int64(p.RefundWindowUS)
	w.int64(p.MaxExpiryAheadUS)
	w.int64(p.MaxBlockGapUS)
	w.amount(p.MinStake)
	w.uint32(p.MaxExpiriesPerBlock)
	w.uint32(p.FeeBps)
	w.amount(p.DustLimit)
	w.int64(p.UnbondingUS)
	w.uint32(p.RulesVersion)
	return w.buf
}

func readParams(r *reader) Params {
	return Params{
		DefaultPrice:        r.amount(),
		MinPrice:            r.amount(),
		MaxPrice:            r.amount(),
		MinGraceUS:          r.int64(),
		MaxSettleAheadUS:    r.int64(),
		RefundWindowUS:      r.int64(),
		MaxExpiryAheadUS:    r.int64(),
		MaxBlockGapUS:       r.int64(),
		MinStake:            r.amount(),
		MaxExpiriesPerBlock: r.uint32(),
		FeeBps:              r.uint32(),
		DustLimit:           r.amount(),
		UnbondingUS:         r.int64(),
		RulesVersion:        r.uint32(),
	}
}
