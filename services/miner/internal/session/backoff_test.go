package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheBackoffDoublesUpToItsLimitAndVaries(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 10 * time.Second}
	for failures, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		require.Equal(t, want*time.Second, b.wait(failures, 0))
		require.Equal(t, want*time.Second/2, b.wait(failures, 1))
	}
	require.Equal(t, 10*time.Second, b.wait(1<<40, 0), "no overflow")
}

func TestOnlyLoopbackIsPlaintextByItself(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "10.0.0.1:1": false, "localhost.example:1": false, "x": false,
	} {
		require.Equal(t, want, Config{}.plaintext(address), address)
		require.False(t, Config{ForceTLS: true}.plaintext(address))
		require.True(t, Config{Insecure: true}.plaintext(address))
	}
}
