package coordinator

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"strings"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/api"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/fleet"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger/account"
	"github.com/aitbc/aitbc/services/coordinator/internal/replica"
	"github.com/aitbc/aitbc/services/coordinator/internal/session"
	"github.com/aitbc/aitbc/services/coordinator/internal/settlement"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// The values of Config.Ledger.
const (
	// LedgerCometBFT pays jobs on a ledger of ours, which a node at Config.LedgerURL serves.
	LedgerCometBFT = "cometbft"
	// LedgerNone is for people who share machines of their own: nothing is paid.
	LedgerNone = "none"
)

// books are where jobs are paid: on a ledger, or nowhere.
type books struct {
	// chainID is what everything that is signed names.
	chainID string
	// accounts knows clients and miners.
	accounts interface {
		dispatch.Ledger
		session.Ledger
	}
	// statements explain accounts; nil: there is no ledger.
	statements api.Statements
	// settle makes the settlement.
	settle func(p *parts, sink settlement.Sink) (replica.Settlement, error)
}

// loadOperator reads the operator's key. Without a ledger on which it would have to be registered, it
// is made at the first start.
func (c Config) loadOperator() (key ed25519.PrivateKey, err error) {
	if c.Ledger == LedgerNone {
		key, err = aitbc.LoadOrCreateKey(c.operatorKey())
	} else {
		key, err = aitbc.LoadKey(c.operatorKey())
	}
	if err != nil {
		return nil, fmt.Errorf("the operator's key: %w", err)
	}
	return key, nil
}

// onChain are the books on the ledger that p.ledger talks to. It waits until the ledger answers.
func (s *Service) onChain(ctx context.Context, p *parts) (books, error) {
	waiting, cancel := context.WithTimeout(ctx, chainTimeout)
	defer cancel()
	head, err := p.ledger.Await(waiting)
	if err != nil {
		return books{}, fmt.Errorf("the ledger did not answer within %s (--ledger-url %s): %w", chainTimeout, strings.Join(s.cfg.LedgerURLs, ","), err)
	}
	accounts := account.NewReader(p.ledger, s.Operator())
	return books{chainID: head.ChainID, accounts: accounts, statements: p.ledger, settle: func(p *parts, sink settlement.Sink) (replica.Settlement, error) {
		return settlement.New(settlement.DefaultConfig(), settlement.Deps{
			Ledger: p.ledger, Funds: accounts, Outbox: p.store, Sink: sink, Operator: s.Operator(), Key: s.operator,
			Registry: s.deps.Registry, Log: s.deps.Logger,
		})
	}}, nil
}

// inFleet are the books of a fleet that has no ledger.
func (s *Service) inFleet(p *parts) books {
	return books{chainID: fleet.ChainID(s.Operator()), accounts: fleet.New(p.store), settle: func(p *parts, sink settlement.Sink) (replica.Settlement, error) {
		return settlement.NewFree(p.store, sink, s.deps.Logger), nil
	}}
}

// noLedger is custody.Ledger where there is none.
type noLedger struct{}

var errNoLedger error = apierr.InvalidField("fund", "cannot be sent: there is no ledger (--ledger none): nothing costs anything, and there are no tokens to send")

// Execute implements custody.Ledger.
func (noLedger) Execute(context.Context, ledger.Signer, ...*ledgerv1.Message) error {
	return errNoLedger
}

// Account implements custody.Ledger.
func (noLedger) Account(context.Context, aitbc.AccountID) (*ledgerv1.LedgerAccount, error) {
	return nil, errNoLedger
}
