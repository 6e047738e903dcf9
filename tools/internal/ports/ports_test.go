package ports_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/internal/ports"
)

func TestARowIsFreeAndGivenOnce(t *testing.T) {
	t.Parallel()
	given := map[int]bool{}
	for range 5 {
		first, err := ports.Row(12)
		require.NoError(t, err)
		for port := first; port < first+12; port++ {
			require.False(t, given[port])
			given[port] = true
		}
		taken, err := net.Listen("tcp", ports.Loopback(first+12+8)) // in the row that would be next
		require.NoError(t, err)
		defer taken.Close()
		next, err := ports.Row(2)
		require.NoError(t, err)
		require.NotEqual(t, first+12+8, next)
		given[next], given[next+1] = true, true
	}
	_, err := ports.Row(1 << 20)
	require.Error(t, err)
}
