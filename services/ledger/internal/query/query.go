// Package query answers reads of the ledger: from the last committed state, and from history for
// what has left the state. It has one method for each of LedgerService that reads; gRPC and
// CometBFT's abci_query are two ways to the same methods.
//
// Invariant: answers about a job are taken from the state first and from history second. History
// is written before the state, so a job that the state has not (any more) is in history already.
//
// Start at Service; ABCI is in abci.go.
package query

import (
	"context"
	"errors"
	"math"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/ledger/internal/history"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// States gives the last committed state; nil before there is one.
type States interface{ State() *state.State }

// Service answers reads. Many goroutines may use it.
type Service struct {
	states  States
	history *history.DB
}

// New makes a service that reads from these two.
func New(states States, past *history.DB) *Service {
	return &Service{states: states, history: past}
}

var errNoState = errors.New("the chain has no state before its first block")

func (s *Service) state() (*state.State, error) {
	if st := s.states.State(); st != nil {
		return st, nil
	}
	return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE, "%s", errNoState.Error()).WithCause(errNoState)
}

// GetStatus implements LedgerService.
func (s *Service) GetStatus(context.Context, *ledgerv1.GetStatusRequest) (*ledgerv1.GetStatusResponse, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	hash, supply := st.AppHash(), st.Supply()
	receipts := st.Receipts()
	if receipts > math.MaxInt64 {
		receipts = math.MaxInt64
	}
	return &ledgerv1.GetStatusResponse{
		ChainId:      st.Info().ChainID,
		Height:       st.Height(),
		BlockTimeUs:  st.BlockTime().UnixMicro(),
		LedgerTimeUs: st.LedgerTimeUS(),
		AppHash:      hash[:],
		Supply:       supplyProto(supply),
		Params:       paramsProto(st.Params()),
		OpenEscrows:  supply.OpenEscrows,
		Receipts:     int64(receipts),
	}, nil
}

// GetAccount implements LedgerService.
func (s *Service) GetAccount(_ context.Context, req *ledgerv1.GetAccountRequest) (*ledgerv1.GetAccountResponse, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	id, err := accountID("account_id", req.GetAccountId())
	if err != nil {
		return nil, err
	}
	account, there := st.Account(id)
	if !there {
		return nil, noAccount("account %s does not exist", id)
	}
	return &ledgerv1.GetAccountResponse{Account: &ledgerv1.LedgerAccount{
		AccountId:     id.String(),
		BalanceUaitbc: int64(account.Balance),
		NextSequence:  account.NextSequence,
		PublicKey:     account.PublicKey,
	}}, nil
}

// GetAllowance implements LedgerService.
func (s *Service) GetAllowance(_ context.Context, req *ledgerv1.GetAllowanceRequest) (*ledgerv1.GetAllowanceResponse, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	client, err := accountID("client_id", req.GetClientId())
	if err != nil {
		return nil, err
	}
	operator, err := accountID("operator_id", req.GetOperatorId())
	if err != nil {
		return nil, err
	}
	grant, there := st.Grant(client, operator)
	if !there {
		return nil, noAccount("account %s has given this operator no allowance", client)
	}
	return &ledgerv1.GetAllowanceResponse{Allowance: &ledgerv1.Allowance{
		ClientId:         client.String(),
		OperatorId:       operator.String(),
		RemainingUaitbc:  int64(grant.Remaining),
		PerJobUaitbc:     int64(grant.PerJob),
		PerDayUaitbc:     int64(grant.PerDay),
		SpentTodayUaitbc: int64(grant.SpentToday),
		ExpiresUs:        grant.ExpiresUS,
	}}, nil
}

// GetOperator implements LedgerService.
func (s *Service) GetOperator(_ context.Context, req *ledgerv1.GetOperatorRequest) (*ledgerv1.GetOperatorResponse, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	id, err := accountID("operator_id", req.GetOperatorId())
	if err != nil {
		return nil, err
	}
	operator, there := st.Operator(id)
	if !there {
		return nil, noAccount("account %s is not a registered operator", id)
	}
	account, _ := st.Account(id)
	return &ledgerv1.GetOperatorResponse{Operator: &ledgerv1.LedgerOperator{
		OperatorId: id.String(), Name: operator.Name, PublicKey: account.PublicKey,
	}}, nil
}

func accountID(field, text string) (aitbc.AccountID, error) {
	id, err := aitbc.ParseAccountID(text)
	if err != nil {
		return id, apierr.InvalidField(field, "want an address, \"aitbc1\" and so on").WithCause(err)
	}
	return id, nil
}

func noAccount(format string, id aitbc.AccountID) error {
	return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_ACCOUNT_NOT_FOUND, format, id).With("account_id", id.String())
}
