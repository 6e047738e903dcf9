package aitbc_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func TestAmountText(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, text, back string
		want             aitbc.Amount
	}{
		{"the seed's cost", "0.25aitbc", "0.25aitbc", 250_000},
		{"the seed's reward", "100aitbc", "100aitbc", 100_000_000},
		{"nothing", "0aitbc", "0aitbc", 0},
		{"the smallest", "0.000001aitbc", "0.000001aitbc", 1},
		{"needless zeros", "007.500000aitbc", "7.5aitbc", 7_500_000},
		{"the largest", "9223372036854.775807aitbc", "9223372036854.775807aitbc", math.MaxInt64},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := aitbc.ParseAmount(c.text)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Equal(t, c.back, got.String())
		})
	}
}

func TestAmountTextRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":             "",
		"only the suffix":   "aitbc",
		"no suffix":         "0.25",
		"another suffix":    "0.25uaitbc",
		"upper case":        "1AITBC",
		"negative":          "-1aitbc",
		"signed":            "+1aitbc",
		"seven decimals":    "0.0000001aitbc",
		"no whole part":     ".5aitbc",
		"no decimals":       "1.aitbc",
		"two points":        "1.2.3aitbc",
		"exponent":          "1e3aitbc",
		"space":             "1 aitbc",
		"other digits":      "١aitbc",
		"one too large":     "9223372036854.775808aitbc",
		"far too large":     "99999999999999999999999999aitbc",
		"infinity":          "Infaitbc",
		"separators":        "1_000aitbc",
		"hexadecimal":       "0x1aitbc",
		"suffix in between": "1aitbc0",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := aitbc.ParseAmount(text)
			require.ErrorIs(t, err, aitbc.ErrMalformed)
		})
	}
}

func TestNegativeAmountsArePrinted(t *testing.T) {
	t.Parallel()
	require.Equal(t, "-0.25aitbc", aitbc.Amount(-250_000).String())
	require.Equal(t, "-9223372036854.775808aitbc", aitbc.Amount(math.MinInt64).String())
}

func TestPrice(t *testing.T) {
	t.Parallel()
	const unlimited = aitbc.Amount(math.MaxInt64)
	cases := []struct {
		name             string
		metered          time.Duration
		perSecond, limit aitbc.Amount
		want             aitbc.Amount
	}{
		{"the seed's job", 12500 * time.Millisecond, 20_000, unlimited, 250_000},
		{"rounded down to the unit", 99 * time.Microsecond, 20_000, unlimited, 1},
		{"less than a unit", 49 * time.Microsecond, 20_000, unlimited, 0},
		{"below a microsecond", 999 * time.Nanosecond, math.MaxInt64, unlimited, 0},
		{"exactly the limit", 12500 * time.Millisecond, 20_000, 250_000, 250_000},
		{"over the limit", 12500 * time.Millisecond, 20_000, 249_999, 249_999},
		{"a cost that does not fit, 86,400 x 2^50", 24 * time.Hour, 1 << 50, unlimited, unlimited},
		{"a product over 83 bits", math.MaxInt64, math.MaxInt64, 7, 7},
		{"no time", 0, 20_000, unlimited, 0},
		{"negative time", -time.Second, 20_000, unlimited, 0},
		{"negative price", time.Second, -1, unlimited, 0},
		{"nothing in escrow", time.Second, 20_000, 0, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, aitbc.Price(c.metered, c.perSecond, c.limit))
		})
	}
}
