package ledger

import (
	"context"
	"errors"
	"testing"

	cmtbytes "github.com/cometbft/cometbft/libs/bytes"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	rpctypes "github.com/cometbft/cometbft/rpc/jsonrpc/types"
	"github.com/cometbft/cometbft/types"
	"github.com/stretchr/testify/require"
)

// fakeNode answers with its height, or its fault.
type fakeNode struct {
	Endpoint
	height int64
	fault  error
	calls  int
}

func (n *fakeNode) ABCIQuery(context.Context, string, cmtbytes.HexBytes) (*ctypes.ResultABCIQuery, error) {
	n.calls++
	if n.fault != nil {
		return nil, n.fault
	}
	answer := &ctypes.ResultABCIQuery{}
	answer.Response.Height = n.height
	return answer, nil
}

func (n *fakeNode) BroadcastTxSync(context.Context, types.Tx) (*ctypes.ResultBroadcastTx, error) {
	n.calls++
	return nil, n.fault
}

func TestTheNextNodeIsCalledWhenOneFails(t *testing.T) {
	t.Parallel()
	away := errors.New("connection refused")
	first, second := &fakeNode{fault: away}, &fakeNode{height: 2}
	s := &several{nodes: []Endpoint{first, second}}
	for range 3 {
		answer, err := s.ABCIQuery(t.Context(), "", nil)
		require.NoError(t, err)
		require.Equal(t, int64(2), answer.Response.Height)
	}
	require.Equal(t, 1, first.calls, "it is not asked again as long as the other one answers")

	first.fault, first.height = nil, 1
	second.fault = away
	answer, err := s.ABCIQuery(t.Context(), "", nil)
	require.NoError(t, err)
	require.Equal(t, int64(1), answer.Response.Height)

	first.fault = away
	_, err = s.ABCIQuery(t.Context(), "", nil)
	require.ErrorIs(t, err, away)
}

func TestARefusalIsAnAnswer(t *testing.T) {
	t.Parallel()
	first, second := &fakeNode{fault: &rpctypes.RPCError{Message: "tx already exists in cache"}}, &fakeNode{}
	s := &several{nodes: []Endpoint{first, second}}
	_, err := s.BroadcastTxSync(t.Context(), nil)
	require.NoError(t, broadcastError(err))
	require.Zero(t, second.calls)
}

func TestANodeThatMakesNoProgressIsLeft(t *testing.T) {
	t.Parallel()
	s := &several{nodes: []Endpoint{&fakeNode{height: 1}, &fakeNode{height: 2}}}
	require.True(t, s.Move())
	answer, err := s.ABCIQuery(t.Context(), "", nil)
	require.NoError(t, err)
	require.Equal(t, int64(2), answer.Response.Height)
}
