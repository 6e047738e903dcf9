package session

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/peer"
)

func TestOnePeerDoesNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	d := newDoor(3, 2)
	one, two := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	leave, err := d.enter(one)
	require.NoError(t, err)
	_, err = d.enter(one)
	require.NoError(t, err)
	_, err = d.enter(one)
	require.ErrorIs(t, err, errCrowded)
	leaveTwo, err := d.enter(two)
	require.NoError(t, err)
	_, err = d.enter(two)
	require.ErrorIs(t, err, errCrowded, "all in all there are too many")
	leave()
	leave() // once is enough
	_, err = d.enter(two)
	require.NoError(t, err)
	leaveTwo()
	_, err = d.enter(netip.Prefix{})
	require.NoError(t, err, "it comes over no network")
}

func TestWhereAStreamComesFrom(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.1:5":           "192.0.2.1/32",
		"[::ffff:192.0.2.1]:5":  "192.0.2.1/32",
		"[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:5":      "fe80::/64",
	} {
		tcp := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))
		require.Equal(t, want, origin(peer.NewContext(t.Context(), &peer.Peer{Addr: tcp})).String(), addr)
	}
	require.False(t, origin(context.WithoutCancel(t.Context())).IsValid())
	require.False(t, origin(peer.NewContext(t.Context(), &peer.Peer{Addr: &net.UnixAddr{}})).IsValid())
}
