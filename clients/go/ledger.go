package aitbc

import (
	"fmt"
	"strings"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// Ledger calls one node of the ledger, which need not be the operator's. It is safe for concurrent
// use. Close it when it is not needed any more.
//
// What it reads is only as true as its node; package verify checks receipts that it proves. Its
// errors are an [*Error]; it tries again what failed for a moment, as [Client] does.
type Ledger struct {
	ledgerv1.LedgerServiceClient
	close func() error
}

// NewLedger makes a client of the node at a target; it connects at the first call. Targets are those
// of [New], but for http:// and https://: the ledger has no REST. Errors: [ErrMalformed].
func NewLedger(target string, opts ...Option) (*Ledger, error) {
	if strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://") {
		return nil, fmt.Errorf("make client of the ledger: target %q: %w: want grpc://, grpcs:// or host:port", target, ErrMalformed)
	}
	caller, closeConn, err := connect(target, opts)
	if err != nil {
		return nil, fmt.Errorf("make client of the ledger: %w", err)
	}
	return &Ledger{LedgerServiceClient: ledgerv1.NewLedgerServiceClient(caller), close: closeConn}, nil
}

// Close ends the client's connections; calls under way fail.
func (l *Ledger) Close() error { return l.close() }
