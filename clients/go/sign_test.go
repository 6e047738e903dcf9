package aitbc_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// The one difference that matters between Ed25519 implementations is what they say to keys and
// points of small order and to encodings that are not canonical. ZIP-215 accepts both of these.
func TestVerifyFollowsZIP215(t *testing.T) {
	t.Parallel()
	identity := make([]byte, ed25519.PublicKeySize)
	identity[0] = 1
	notCanonical := unhex(t, "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f") // y = p + 1
	zeroS := make([]byte, 32)
	for name, c := range map[string]struct{ key, r []byte }{
		"small-order key and R":         {identity, identity},
		"small-order key written twice": {notCanonical, identity},
		"R not canonical":               {identity, notCanonical},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sig := append(append([]byte{}, c.r...), zeroS...)
			require.True(t, aitbc.Verify(c.key, []byte("anything"), sig))
			sig[63] |= 0x10 // S >= L is refused by every rule
			require.False(t, aitbc.Verify(c.key, []byte("anything"), sig))
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := key[32:]
	message := []byte("signing bytes")
	sig := aitbc.Sign(key, message)
	require.True(t, aitbc.Verify(ed25519.PublicKey(public), message, sig))

	flipped := append([]byte{}, sig...)
	flipped[5] ^= 1
	for name, c := range map[string]struct{ key, message, sig []byte }{
		"no key":              {nil, message, sig},
		"short key":           {public[:31], message, sig},
		"no signature":        {public, message, nil},
		"long signature":      {public, message, append(append([]byte{}, sig...), 0)},
		"another message":     {public, []byte("signing byteS"), sig},
		"a flipped bit":       {public, message, flipped},
		"another key":         {ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))[32:], message, sig},
		"a key off the curve": {append([]byte{2}, make([]byte, 31)...), message, sig},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.False(t, aitbc.Verify(c.key, c.message, c.sig))
		})
	}
}
