package verifytest

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// node serves a chain; of LedgerService it has GetReceiptProof, and that it knows no accounts.
type node struct {
	ledgerv1.UnimplementedLedgerServiceServer
	chain *Chain
}

// GetReceiptProof implements LedgerService.
func (n node) GetReceiptProof(ctx context.Context, req *ledgerv1.GetReceiptProofRequest) (*ledgerv1.GetReceiptProofResponse, error) {
	return n.chain.GetReceiptProof(ctx, req)
}

// GetAccount implements LedgerService.
func (node) GetAccount(_ context.Context, req *ledgerv1.GetAccountRequest) (*ledgerv1.GetAccountResponse, error) {
	return nil, status.Errorf(codes.NotFound, "account %s: a test ledger knows no accounts", req.GetAccountId())
}

// Serve serves the chain on a free loopback port until stop is called.
func (c *Chain) Serve(ctx context.Context) (address string, stop func() error, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("serve test ledger: %w", err)
	}
	server := grpc.NewServer()
	ledgerv1.RegisterLedgerServiceServer(server, node{chain: c})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	return listener.Addr().String(), func() error {
		server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return err
		}
		return nil
	}, nil
}
