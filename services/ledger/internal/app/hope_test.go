package app

import (
	"crypto/ed25519"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAHopeHoldsWhenAllIsRight(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	for signatures := range 2 * minBatch {
		for wrong := -1; wrong < signatures; wrong++ {
			s := newVerifiedSet(100, newCosts())
			h := &hope{set: s}
			for n := range signatures {
				message := fmt.Appendf(nil, "message %d", n)
				signature := ed25519.Sign(key, message)
				if n == wrong {
					signature[0]++
				}
				require.Equal(t, n != 0 || wrong != 0, h.verify(public, message, signature), "only the first is checked at once")
			}
			require.False(t, h.verify(public, nil, nil))
			require.False(t, h.verify(nil, nil, make([]byte, ed25519.SignatureSize)))
			require.Equal(t, wrong <= 0, h.holds())
			for n := range signatures {
				message := fmt.Appendf(nil, "message %d", n)
				id := idOf(public, message, ed25519.Sign(key, message))
				if wrong < 0 {
					require.True(t, s.has(id), "it is remembered")
				} else if n == wrong {
					require.False(t, s.has(id))
				}
			}
		}
	}
}
