// Package api is LedgerService over gRPC: reads by package query, transactions handed to CometBFT's
// mempool, and headers with their signatures from its block store, in this process.
//
// Everything here is public, as the chain is; there are no keys. Start at New.
package api

import (
	"context"
	"crypto/sha256"

	"github.com/cometbft/cometbft/rpc/client"
	"google.golang.org/protobuf/proto"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/ledger/internal/query"
)

// unimplemented lies one level deeper than the methods of query.Service, which therefore win.
type unimplemented struct {
	ledgerv1.UnimplementedLedgerServiceServer
}

// Server implements LedgerService.
type Server struct {
	unimplemented
	*query.Service
	node Node
}

// Node is what of CometBFT's client the server needs.
type Node interface {
	client.ABCIClient
	client.SignClient
}

var _ ledgerv1.LedgerServiceServer = (*Server)(nil)

// New makes a server that reads by reads, hands transactions to node's mempool and takes blocks
// from its store.
func New(reads *query.Service, node Node) *Server {
	return &Server{Service: reads, node: node}
}

// BroadcastTransaction implements LedgerService.
func (s *Server) BroadcastTransaction(ctx context.Context, req *ledgerv1.BroadcastTransactionRequest) (*ledgerv1.BroadcastTransactionResponse, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(req.GetTx())
	if err != nil {
		return nil, apierr.InvalidField("tx", "want a transaction").WithCause(err)
	}
	answer, err := s.node.BroadcastTxSync(ctx, raw)
	if err != nil {
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE,
			"the mempool did not take the transaction: it is full, has it already, or this node is catching up").WithCause(err)
	}
	hash := sha256.Sum256(raw)
	return &ledgerv1.BroadcastTransactionResponse{
		TxHash: hash[:], Code: ledgerv1.ResultCode(answer.Code), Detail: answer.Log,
	}, nil
}

// Public lets everybody call every method of the server.
type Public struct{}

// Authorize implements rpc.Authorizer.
func (Public) Authorize(ctx context.Context, _ string) (context.Context, error) { return ctx, nil }
