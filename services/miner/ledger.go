package miner

import (
	"crypto/tls"
	"fmt"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// openLedger gives the node that the owner named, for all that the miner asks of the ledger: enrolment
// and claims. It connects at the first call. Off loopback, and for grpcs://, it is called with TLS,
// with the authorities of tls-ca.
func (c Config) openLedger() (*aitbc.Ledger, error) {
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	ledger, err := aitbc.NewLedger(c.Ledger, aitbc.WithTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return ledger, nil
}
