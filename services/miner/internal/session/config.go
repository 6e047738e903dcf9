package session

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/aitbc/aitbc/clients/go"
)

// Config says where to connect and as whom.
type Config struct {
	// Addresses are coordinators' gRPC addresses, host:port, tried in turn.
	Addresses []string
	// Key is the miner's ledger key.
	Key ed25519.PrivateKey
	// Software is this program and its version, for logs.
	Software string
	// ChainID is the one ledger to work for; empty: whichever the coordinator names.
	ChainID string
	// Operators are whom to work for; empty: anybody.
	Operators []aitbc.AccountID
	// TLS is the transport security off loopback, and everywhere with ForceTLS.
	TLS *tls.Config
	// ForceTLS wants TLS on loopback too.
	ForceTLS bool
	// Insecure allows plaintext everywhere.
	Insecure bool
	// Backoff is the wait between attempts.
	Backoff Backoff
	// HandshakeTimeout bounds the time from dialling to the welcome; positive.
	HandshakeTimeout time.Duration
	// Dial opens the connections; nil: TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Backoff is a wait that doubles from Min to Max, of which up to a half is random.
type Backoff struct {
	Min, Max time.Duration
}

// wait gives the wait after so many failures in a row, where random is from 0 up to 1.
func (b Backoff) wait(failures int, random float64) time.Duration {
	wait := b.Min
	for range failures {
		if wait >= b.Max/2 {
			wait = b.Max
			break
		}
		wait *= 2
	}
	return wait - time.Duration(random*float64(wait)/2)
}

// Validate reports every fault.
func (c Config) Validate() error {
	var errs []error
	if len(c.Addresses) == 0 {
		errs = append(errs, errors.New("no coordinator address"))
	}
	for _, address := range c.Addresses {
		if _, _, err := net.SplitHostPort(address); err != nil {
			errs = append(errs, fmt.Errorf("coordinator address %q is not host:port: %w", address, err))
		}
	}
	if len(c.Key) != ed25519.PrivateKeySize {
		errs = append(errs, errors.New("no key"))
	}
	if c.Insecure && c.ForceTLS {
		errs = append(errs, errors.New("both TLS and plaintext are demanded"))
	}
	if c.Backoff.Min <= 0 || c.Backoff.Max < c.Backoff.Min {
		errs = append(errs, fmt.Errorf("backoff from %v to %v", c.Backoff.Min, c.Backoff.Max))
	}
	if c.HandshakeTimeout <= 0 {
		errs = append(errs, errors.New("no handshake timeout"))
	}
	return errors.Join(errs...)
}

// plaintext decides whether an address is spoken to without TLS.
func (c Config) plaintext(address string) bool {
	return c.Insecure || (!c.ForceTLS && onLoopback(address))
}

func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
