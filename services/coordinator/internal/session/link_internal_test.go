package session

import (
	"testing"

	"github.com/stretchr/testify/require"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

func TestALinkKeepsTheOrderAndEndsWhenItIsFull(t *testing.T) {
	t.Parallel()
	var ended error
	l := newLink(2, func(cause error) { ended = cause })
	require.Nil(t, l.next())
	for _, lease := range []string{"one", "two"} {
		l.Revoke(lease, coordinatorv1.ErrorReason_ERROR_REASON_CANCELLED, false)
	}
	require.NoError(t, ended)
	require.Equal(t, "one", l.next().GetLeaseRevocation().GetLeaseId())
	l.Text("three", 0)
	require.NoError(t, ended, "there is room again")
	require.Equal(t, "two", l.next().GetLeaseRevocation().GetLeaseId())
	require.Equal(t, "three", l.next().GetChunkRequest().GetLeaseId())
	require.Nil(t, l.next())
	for range 3 {
		l.Text("more", 0)
	}
	require.ErrorIs(t, ended, errSlow)
}
