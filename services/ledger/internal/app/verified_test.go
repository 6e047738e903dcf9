package app

import (
	"crypto/ed25519"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVerifiedSet(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	s := newVerifiedSet(4, newCosts())
	for n := range 100 {
		message := fmt.Appendf(nil, "message %d", n)
		require.True(t, s.verify(public, message, ed25519.Sign(key, message)))
		require.LessOrEqual(t, len(s.newer)+len(s.older), 8, "it stays bounded")
	}
	message := []byte("message 99")
	signature := ed25519.Sign(key, message)
	require.True(t, s.verify(public, message, signature), "remembered")
	signature[0]++
	require.False(t, s.verify(public, message, signature))
	require.False(t, s.verify(public, message, signature), "a wrong one is not remembered")
	require.False(t, s.verify(nil, message, signature))
	require.False(t, s.verify(public, message, nil))
}
