package aitbc_test

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/hdevalence/ed25519consensus"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

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

// smallOrder are all encodings of the points of small order: eight canonical ones, and six that are not.
func smallOrder(t testing.TB) (encodings [][]byte) {
	zeros, ones := strings.Repeat("00", 30), strings.Repeat("ff", 30)
	for _, text := range []string{
		"01" + zeros + "00", "ec" + ones + "7f", "00" + zeros + "00", "00" + zeros + "80",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"01" + zeros + "80", "ee" + ones + "7f", "ee" + ones + "ff", "ec" + ones + "ff", "ed" + ones + "7f", "ed" + ones + "ff",
	} {
		encodings = append(encodings, unhex(t, text))
	}
	return encodings
}

// A verifier by the equation without the cofactor refuses most of these: it would split a chain.
func TestEveryPairOfSmallOrderVerifies(t *testing.T) {
	t.Parallel()
	for _, key := range smallOrder(t) {
		for _, r := range smallOrder(t) {
			sig := append(append([]byte{}, r...), make([]byte, 32)...)
			require.True(t, aitbc.Verify(key, []byte("anything"), sig), "%x %x", key, r)
			require.True(t, ed25519consensus.Verify(key, []byte("anything"), sig), "%x %x", key, r)
		}
	}
}

func TestABatchIsRightWhenEachIs(t *testing.T) {
	t.Parallel()
	var empty aitbc.Batch
	require.False(t, empty.Verify())
	points := smallOrder(t)
	rapid.Check(t, func(t *rapid.T) {
		var batch aitbc.Batch
		all := true
		for range rapid.IntRange(1, 12).Draw(t, "signatures") {
			seed := []byte(strings.Repeat(rapid.StringMatching("[a-c]").Draw(t, "signer"), ed25519.SeedSize))
			key := ed25519.NewKeyFromSeed(seed)
			public, message := key.Public().(ed25519.PublicKey), []byte(rapid.StringN(0, 3, 9).Draw(t, "message"))
			sig := aitbc.Sign(key, message)
			switch rapid.IntRange(0, 19).Draw(t, "change") {
			case 0:
				sig[rapid.IntRange(0, 63).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			case 1:
				public = rapid.SliceOfN(rapid.Byte(), 31, 32).Draw(t, "key")
			case 2:
				sig = sig[:63]
			case 3, 4, 5, 6:
				public = rapid.SampledFrom(points).Draw(t, "small key")
				sig = append(append([]byte{}, rapid.SampledFrom(points).Draw(t, "small R")...), make([]byte, 32)...)
			}
			batch.Add(public, message, sig)
			all = aitbc.Verify(public, message, sig) && all
		}
		require.Equal(t, all, batch.Verify())
	})
}

// FuzzVerify holds the verifier to another implementation of ZIP-215, which ledgers before this one ran:
// any bytes, and real signatures in which any bytes are changed.
func FuzzVerify(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	sig := aitbc.Sign(key, []byte("m"))
	f.Add([]byte(key[32:]), []byte("m"), sig, uint16(0), byte(0))
	for _, point := range smallOrder(f) {
		f.Add(point, []byte("m"), sig, uint16(3), byte(1))
		f.Add([]byte(key[32:]), []byte("m"), append(append([]byte{}, point...), sig[32:]...), uint16(40), byte(1))
	}
	f.Fuzz(func(t *testing.T, public, message, sig []byte, at uint16, change byte) {
		if len(public) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize {
			require.False(t, aitbc.Verify(public, message, sig))
			return
		}
		right := aitbc.Verify(public, message, sig)
		require.Equal(t, ed25519consensus.Verify(public, message, sig), right)
		var batch aitbc.Batch
		batch.Add(ed25519.PublicKey(key[32:]), message, aitbc.Sign(key, message))
		batch.Add(public, message, sig)
		require.Equal(t, right, batch.Verify())
		own := aitbc.Sign(key, message)
		own[int(at)%len(own)] ^= change
		require.Equal(t, ed25519consensus.Verify(ed25519.PublicKey(key[32:]), message, own), aitbc.Verify(ed25519.PublicKey(key[32:]), message, own))
		require.Equal(t, change == 0, aitbc.Verify(ed25519.PublicKey(key[32:]), message, own))
	})
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
