package session

import (
	"context"
	"net"
	"net/netip"
	"sync"

	"google.golang.org/grpc/peer"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

var errCrowded = &job.Error{
	Why:     coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED,
	Message: "too many miners are proving their keys at once: connect again in a moment",
}

// door bounds the streams whose miner has not proven its key yet: anybody can open those.
type door struct {
	all, perPeer int

	mu     sync.Mutex
	inside int
	peers  map[netip.Prefix]int
}

func newDoor(all, perPeer int) *door {
	return &door{all: all, perPeer: perPeer, peers: make(map[netip.Prefix]int)}
}

// enter lets a stream begin its handshake; leave must be called when that has ended.
func (d *door) enter(from netip.Prefix) (leave func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inside >= d.all || from.IsValid() && d.peers[from] >= d.perPeer {
		return nil, errCrowded
	}
	d.inside++
	d.peers[from]++
	return sync.OnceFunc(func() { d.leave(from) }), nil
}

func (d *door) leave(from netip.Prefix) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
	if d.peers[from]--; d.peers[from] == 0 {
		delete(d.peers, from)
	}
}

// ownNetwork is how much of an IPv6 address names who has it: the rest is its owner's to choose.
const ownNetwork = 64

// origin gives where a stream comes from; of one that comes over no network it is not valid.
func origin(ctx context.Context) netip.Prefix {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return netip.Prefix{}
	}
	tcp, ok := p.Addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	prefix, err := addr.Prefix(min(addr.BitLen(), ownNetwork))
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
