package aitbc_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// parsers read signing bytes and give them back encoded again.
func parsers() map[string]func([]byte) ([]byte, error) {
	return map[string]func([]byte) ([]byte, error){
		"order":      encodeAgain(aitbc.ParseOrder),
		"lease":      encodeAgain(aitbc.ParseLease),
		"statement":  encodeAgain(aitbc.ParseAnyStatement),
		"acceptance": encodeAgain(aitbc.ParseAcceptance),
	}
}

func encodeAgain[T signed](parse func([]byte) (T, error)) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		v, err := parse(b)
		return v.SigningBytes(), err
	}
}

func TestSigningBytesThatAreCutLongerOrOfAnotherKindAreRefused(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t).Vectors {
		for kind, again := range parsers() {
			whole := unhex(t, v.SigningBytes)
			if kind != v.Kind {
				_, err := again(whole)
				require.ErrorIs(t, err, aitbc.ErrMalformed, "%s read as %s", v.Kind, kind)
				continue
			}
			for n := range whole {
				_, err := again(whole[:n])
				require.ErrorIs(t, err, aitbc.ErrMalformed, "%s cut to %d bytes", kind, n)
			}
			_, err := again(append(whole, 0))
			require.ErrorIs(t, err, aitbc.ErrMalformed)
		}
	}
}

func TestSigningBytesWithForeignTextAreRefused(t *testing.T) {
	t.Parallel()
	for name, chain := range map[string]string{
		"not UTF-8": "chain-\xff",
		"too long":  strings.Repeat("c", 4097),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for kind, b := range map[string][]byte{
				"order":      aitbc.Order{ChainID: chain}.SigningBytes(),
				"lease":      aitbc.Lease{ChainID: chain}.SigningBytes(),
				"statement":  aitbc.Statement{ChainID: chain}.SigningBytes(),
				"acceptance": aitbc.Acceptance{ChainID: chain}.SigningBytes(),
			} {
				_, err := parsers()[kind](b)
				require.ErrorIs(t, err, aitbc.ErrMalformed, kind)
			}
		})
	}
	statement := aitbc.Statement{}.SigningBytes()
	statement[len(statement)-1] = 2 // the boolean at the end
	_, err := aitbc.ParseStatement(statement)
	require.ErrorIs(t, err, aitbc.ErrMalformed)
}

func TestPayloadHashDependsOnEveryField(t *testing.T) {
	t.Parallel()
	number, count := 0.5, int32(3)
	seen := map[aitbc.Hash]string{}
	for name, p := range map[string]aitbc.Payload{
		"nothing":           {},
		"type":              {Type: "x"},
		"model":             {Model: "x"},
		"digest":            {ModelDigest: aitbc.Hash{1}},
		"prompt":            {Prompt: "x"},
		"temperature":       {Options: aitbc.Options{Temperature: &number}},
		"num_predict":       {Options: aitbc.Options{NumPredict: &count}},
		"top_p":             {Options: aitbc.Options{TopP: &number}},
		"top_k":             {Options: aitbc.Options{TopK: &count}},
		"min_p":             {Options: aitbc.Options{MinP: &number}},
		"repeat_penalty":    {Options: aitbc.Options{RepeatPenalty: &number}},
		"seed":              {Options: aitbc.Options{Seed: &count}},
		"stop":              {Options: aitbc.Options{Stop: []string{"x"}}},
		"two stops":         {Options: aitbc.Options{Stop: []string{"x", "y"}}},
		"stop with a comma": {Options: aitbc.Options{Stop: []string{`x","y`}}},
	} {
		hash, err := p.Hash()
		require.NoError(t, err, name)
		require.Empty(t, seen[hash], "%s hashes like another", name)
		seen[hash] = name
	}
}

func TestPayloadThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for name, number := range map[string]float64{"not a number": math.NaN(), "infinite": math.Inf(-1)} {
		_, err := aitbc.Payload{Options: aitbc.Options{TopP: &number}}.Hash()
		require.ErrorIs(t, err, aitbc.ErrMalformed, name)
	}
	_, err := aitbc.Payload{Options: aitbc.Options{Stop: []string{"\xff"}}}.Hash()
	require.ErrorIs(t, err, aitbc.ErrMalformed)
}

func TestMinusZeroIsZero(t *testing.T) {
	t.Parallel()
	zero, minus := 0.0, math.Copysign(0, -1)
	want, err := aitbc.Payload{Options: aitbc.Options{Temperature: &zero}}.Hash()
	require.NoError(t, err)
	got, err := aitbc.Payload{Options: aitbc.Options{Temperature: &minus}}.Hash()
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func fuzzParser(f *testing.F, kind string) {
	f.Helper()
	again := parsers()[kind]
	f.Add([]byte{})
	f.Add(aitbc.Order{ChainID: "c"}.SigningBytes())
	f.Add(aitbc.Lease{ChainID: "c", Model: "m"}.SigningBytes())
	f.Add(aitbc.Statement{ChainID: "c", Model: "m", Engine: "e", Stopped: true}.SigningBytes())
	f.Add(aitbc.Acceptance{ChainID: "c"}.SigningBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		encoded, err := again(b)
		if err != nil {
			require.ErrorIs(t, err, aitbc.ErrMalformed)
			return
		}
		require.Equal(t, b, encoded)
	})
}

func FuzzParseOrder(f *testing.F)      { fuzzParser(f, "order") }
func FuzzParseLease(f *testing.F)      { fuzzParser(f, "lease") }
func FuzzParseStatement(f *testing.F)  { fuzzParser(f, "statement") }
func FuzzParseAcceptance(f *testing.F) { fuzzParser(f, "acceptance") }

// What a text parser accepts, it writes the same way; only amounts have several texts.
func FuzzParseText(f *testing.F) {
	f.Add(someAccount.String())
	f.Add(someJob.String())
	f.Add(someJob.ReceiptID())
	f.Add(someJob.LeaseID(1))
	f.Add("0.25aitbc")
	f.Add("007.500000aitbc")
	f.Add(aitbc.Hash{1}.String())
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := aitbc.ParseAccountID(s); err == nil {
			require.Equal(t, s, id.String())
		}
		if id, err := aitbc.ParseJobID(s); err == nil {
			require.Equal(t, s, id.String())
		}
		if id, err := aitbc.ParseReceiptID(s); err == nil {
			require.Equal(t, s, id.ReceiptID())
		}
		if id, attempt, err := aitbc.ParseLeaseID(s); err == nil {
			require.Equal(t, s, id.LeaseID(attempt))
		}
		if hash, err := aitbc.ParseHash(s); err == nil {
			require.Equal(t, s, hash.String())
		}
		if amount, err := aitbc.ParseAmount(s); err == nil {
			again, err := aitbc.ParseAmount(amount.String())
			require.NoError(t, err)
			require.Equal(t, amount, again)
			require.GreaterOrEqual(t, amount, aitbc.Amount(0))
		}
	})
}
