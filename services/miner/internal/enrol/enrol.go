// Package enrol makes a miner known to the ledger: it registers the miner's account and bonds its stake,
// in one transaction that the miner signs.
//
// Invariants: it only adds what is missing, so it may run at every start; tokens leave the account's
// balance for its stake only, up to what the owner allowed. Start at [Once].
package enrol

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

const (
	// life is how long the transaction may wait for a block.
	life = time.Minute
	// pollInterval is how often a block is asked for.
	pollInterval = 200 * time.Millisecond
)

// Ledger is the part of a node's service that is needed; [aitbc.Ledger] has it. Errors: [*aitbc.Error].
type Ledger interface {
	GetStatus(ctx context.Context, in *ledgerv1.GetStatusRequest, opts ...grpc.CallOption) (*ledgerv1.GetStatusResponse, error)
	GetMiner(ctx context.Context, in *ledgerv1.GetMinerRequest, opts ...grpc.CallOption) (*ledgerv1.GetMinerResponse, error)
	GetAccount(ctx context.Context, in *ledgerv1.GetAccountRequest, opts ...grpc.CallOption) (*ledgerv1.GetAccountResponse, error)
	BroadcastTransaction(ctx context.Context, in *ledgerv1.BroadcastTransactionRequest, opts ...grpc.CallOption) (*ledgerv1.BroadcastTransactionResponse, error)
	GetTransaction(ctx context.Context, in *ledgerv1.GetTransactionRequest, opts ...grpc.CallOption) (*ledgerv1.GetTransactionResponse, error)
}

// Wish is what the owner wants.
type Wish struct {
	// Key is the miner's.
	Key ed25519.PrivateKey
	// Name is for people, at most 64 bytes.
	Name string
	// Stake is what the stake shall be at least; 0: the least that gets work.
	Stake aitbc.Amount
	// ChainID is the one ledger to enrol at; empty: any.
	ChainID string
}

// Standing is what the ledger has of a miner.
type Standing struct {
	// Account is the miner's.
	Account aitbc.AccountID
	// ChainID is the ledger's.
	ChainID string
	// Registered says that it is a miner there.
	Registered bool
	// Stake is its stake, Balance what is free in its account.
	Stake, Balance aitbc.Amount
	// MinStake is the stake below which it gets no work.
	MinStake aitbc.Amount

	now      time.Time // the ledger's clock
	sequence uint64
}

// ErrUnfunded says that the account does not cover the stake.
var ErrUnfunded = errors.New("the account does not cover the stake")

// ErrRefused says that the ledger refused the transaction.
var ErrRefused = errors.New("the ledger refused")

// Look reads what the ledger has of the account. Errors: the client's.
func Look(ctx context.Context, ledger Ledger, account aitbc.AccountID) (Standing, error) {
	s := Standing{Account: account}
	chain, err := ledger.GetStatus(ctx, &ledgerv1.GetStatusRequest{})
	if err != nil {
		return s, fmt.Errorf("ask the ledger: %w", err)
	}
	s.ChainID, s.now = chain.GetChainId(), time.UnixMicro(chain.GetLedgerTimeUs())
	s.MinStake = aitbc.Amount(chain.GetParams().GetMinStakeUaitbc())
	miner, err := ledger.GetMiner(ctx, &ledgerv1.GetMinerRequest{MinerId: account.String()})
	switch {
	case err == nil:
		s.Registered, s.Stake = true, aitbc.Amount(miner.GetMiner().GetStakeUaitbc())
	case !isNotFound(err):
		return s, fmt.Errorf("ask the ledger for miner %s: %w", account, err)
	}
	held, err := ledger.GetAccount(ctx, &ledgerv1.GetAccountRequest{AccountId: account.String()})
	switch {
	case err == nil:
		s.Balance, s.sequence = aitbc.Amount(held.GetAccount().GetBalanceUaitbc()), held.GetAccount().GetNextSequence()
	case !isNotFound(err):
		return s, fmt.Errorf("ask the ledger for account %s: %w", account, err)
	}
	return s, nil
}

func isNotFound(err error) bool {
	var failed *aitbc.Error
	return errors.As(err, &failed) && failed.Code == codes.NotFound
}

// Once registers the miner and bonds what its stake lacks, and gives its standing afterwards. A miner
// that has all of it costs nothing. Errors: [ErrUnfunded], [ErrRefused], the client's.
func Once(ctx context.Context, ledger Ledger, w Wish) (Standing, error) {
	account := aitbc.AccountOf(w.Key.Public().(ed25519.PublicKey))
	s, err := Look(ctx, ledger, account)
	if err != nil {
		return s, err
	}
	if w.ChainID != "" && w.ChainID != s.ChainID {
		return s, fmt.Errorf("%w: it is the chain %q, this miner is for %q", ErrRefused, s.ChainID, w.ChainID)
	}
	lacking := max(w.Stake, s.MinStake) - s.Stake
	if s.Registered && lacking <= 0 {
		return s, nil
	}
	if lacking > s.Balance {
		return s, fmt.Errorf("%w: %s has %s, and %s are to be bonded: send it tokens, as an operator does with `aitbcd coordinator keys fund %s %s`",
			ErrUnfunded, account, s.Balance, lacking, account, lacking-s.Balance)
	}
	var messages []*ledgerv1.Message
	if !s.Registered {
		messages = append(messages, &ledgerv1.Message{Message: &ledgerv1.Message_RegisterMiner{RegisterMiner: &ledgerv1.RegisterMiner{Name: w.Name}}})
	}
	if lacking > 0 {
		messages = append(messages, &ledgerv1.Message{Message: &ledgerv1.Message_BondStake{BondStake: &ledgerv1.BondStake{AmountUaitbc: int64(lacking)}}})
	}
	if err := send(ctx, ledger, w.Key, s, messages); err != nil {
		return s, err
	}
	return Look(ctx, ledger, account)
}

func send(ctx context.Context, ledger Ledger, key ed25519.PrivateKey, s Standing, messages []*ledgerv1.Message) error {
	raw, hash, err := aitbc.SignTx(key, &ledgerv1.TxBody{
		Version: aitbc.TxVersion, ChainId: s.ChainID, Signer: s.Account[:], ExpiresUs: s.now.Add(life).UnixMicro(),
		Sequence: max(s.sequence, 1), Messages: messages,
	})
	if err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	tx, err := aitbc.ParseTx(raw)
	if err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	answer, err := ledger.BroadcastTransaction(ctx, &ledgerv1.BroadcastTransactionRequest{Tx: tx})
	if err != nil {
		return fmt.Errorf("send the enrolment: %w", err)
	}
	if answer.GetCode() != ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
		return fmt.Errorf("%w the enrolment: %s: %s", ErrRefused, answer.GetCode(), answer.GetDetail())
	}
	return await(ctx, ledger, hash)
}

// await waits for the transaction's block.
func await(ctx context.Context, ledger Ledger, hash aitbc.Hash) error {
	ctx, cancel := context.WithTimeout(ctx, life)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		answer, err := ledger.GetTransaction(ctx, &ledgerv1.GetTransactionRequest{TxHash: hash[:]})
		switch {
		case err != nil:
			return fmt.Errorf("await the enrolment: %w", err)
		case answer.GetFound():
			return refusal(answer)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("await the enrolment: %w", context.Cause(ctx))
		}
	}
}

func refusal(answer *ledgerv1.GetTransactionResponse) error {
	if answer.GetCode() != ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
		return fmt.Errorf("%w the enrolment: %s", ErrRefused, answer.GetCode())
	}
	for _, result := range answer.GetResults() {
		if result.GetCode() != ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
			return fmt.Errorf("%w the enrolment: %s: %s", ErrRefused, result.GetCode(), result.GetDetail())
		}
	}
	return nil
}
