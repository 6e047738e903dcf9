package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"

	cmtbytes "github.com/cometbft/cometbft/libs/bytes"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	rpctypes "github.com/cometbft/cometbft/rpc/jsonrpc/types"
	"github.com/cometbft/cometbft/types"
)

// several is some nodes behind one face: calls go to one of them until it fails or is moved on from.
// Which of them answers makes no difference to the caller: it believes nothing of a node that lags,
// and sends nothing that may not be sent twice.
type several struct {
	nodes []Endpoint

	mu      sync.Mutex
	current int
}

var _ Endpoint = (*several)(nil)

// DialSeveral gives the endpoint of nodes' JSON-RPC addresses, one or more. It calls one of them at
// a time and moves on to the next when that fails.
func DialSeveral(addresses []string) (Endpoint, error) {
	if len(addresses) == 0 {
		return nil, errors.New("no ledger address")
	}
	nodes := make([]Endpoint, len(addresses))
	for i, address := range addresses {
		var err error
		if nodes[i], err = DialHTTP(address); err != nil {
			return nil, err
		}
	}
	if len(nodes) == 1 {
		return nodes[0], nil
	}
	return &several{nodes: nodes}, nil
}

// ABCIQuery implements Endpoint.
func (s *several) ABCIQuery(ctx context.Context, path string, data cmtbytes.HexBytes) (*ctypes.ResultABCIQuery, error) {
	return try(ctx, s, func(node Endpoint) (*ctypes.ResultABCIQuery, error) { return node.ABCIQuery(ctx, path, data) })
}

// BroadcastTxSync implements Endpoint.
func (s *several) BroadcastTxSync(ctx context.Context, tx types.Tx) (*ctypes.ResultBroadcastTx, error) {
	return try(ctx, s, func(node Endpoint) (*ctypes.ResultBroadcastTx, error) { return node.BroadcastTxSync(ctx, tx) })
}

// Blocks implements Endpoint.
func (s *several) Blocks(ctx context.Context) (<-chan ctypes.ResultEvent, func(), error) {
	type subscription struct {
		events <-chan ctypes.ResultEvent
		stop   func()
	}
	got, err := try(ctx, s, func(node Endpoint) (subscription, error) {
		events, stop, err := node.Blocks(ctx)
		return subscription{events, stop}, err
	})
	return got.events, got.stop, err
}

// Rest implements Endpoint.
func (s *several) Rest() {
	for _, node := range s.nodes {
		node.Rest()
	}
}

// Move implements Endpoint.
func (s *several) Move() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = (s.current + 1) % len(s.nodes)
	return true
}

// try calls the current node, and those after it as long as they fail, each once.
func try[T any](ctx context.Context, s *several, call func(Endpoint) (T, error)) (T, error) {
	var faults []error
	for range s.nodes {
		s.mu.Lock()
		index := s.current
		s.mu.Unlock()
		answer, err := call(s.nodes[index])
		if err == nil || answered(err) {
			return answer, err
		}
		faults = append(faults, err)
		s.failed(index)
		if ctx.Err() != nil {
			break
		}
	}
	var none T
	return none, fmt.Errorf("no ledger node answers: %w", errors.Join(faults...))
}

// failed moves on from a node, unless another call has done so already.
func (s *several) failed(index int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == index {
		s.current = (index + 1) % len(s.nodes)
	}
}

// answered tells a node's refusal from a node that is away.
func answered(err error) bool {
	var refused *rpctypes.RPCError
	return errors.As(err, &refused)
}
