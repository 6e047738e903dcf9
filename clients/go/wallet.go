package aitbc

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

const (
	// walletLife is how long, in the ledger's time, a transaction of a wallet may be committed.
	walletLife = time.Minute
	// walletLook is how often a wallet looks for its transaction.
	walletLook = 200 * time.Millisecond
)

// Wallet sends transactions of one account to a node of the ledger.
type Wallet struct {
	node    ledgerv1.LedgerServiceClient
	account AccountID
	key     ed25519.PrivateKey
}

// NewWallet makes the wallet of an account, whose key this is now.
func NewWallet(node ledgerv1.LedgerServiceClient, account AccountID, key ed25519.PrivateKey) *Wallet {
	return &Wallet{node: node, account: account, key: key}
}

// Account gives the wallet's account.
func (w *Wallet) Account() AccountID { return w.account }

// LedgerError is why the ledger did not apply something.
type LedgerError struct {
	// Code is the ledger's.
	Code ledgerv1.ResultCode
	// Detail is for people.
	Detail string
}

// Error implements error.
func (r *LedgerError) Error() string {
	return fmt.Sprintf("the ledger refused it: %s: %s", strings.TrimPrefix(r.Code.String(), "RESULT_CODE_"), r.Detail)
}

// Send signs the messages as one transaction, hands it to the node and waits until it is in a block.
// Each message is applied or refused on its own: the results say which. Errors: [*LedgerError] when
// nothing was applied, the node's, the context's. After another error than a refusal the transaction
// may still be committed within a minute; sending again is harmless only for messages that are.
func (w *Wallet) Send(ctx context.Context, messages ...*ledgerv1.Message) (*ledgerv1.GetTransactionResponse, error) {
	status, err := w.node.GetStatus(ctx, &ledgerv1.GetStatusRequest{})
	if err != nil {
		return nil, fmt.Errorf("read the ledger's clock: %w", err)
	}
	account, err := w.node.GetAccount(ctx, &ledgerv1.GetAccountRequest{AccountId: w.account.String()})
	if err != nil {
		return nil, fmt.Errorf("read the account: %w", err)
	}
	// Two calls with the same messages must not make the same bytes.
	expires := status.GetLedgerTimeUs() + (walletLife - rand.N(time.Second)).Microseconds()
	raw, hash, err := SignTx(w.key, &ledgerv1.TxBody{
		Version: TxVersion, ChainId: status.GetChainId(), Signer: w.account[:], ExpiresUs: expires,
		Sequence: account.GetAccount().GetNextSequence(), Messages: messages,
	})
	if err != nil {
		return nil, err
	}
	tx, err := ParseTx(raw)
	if err != nil {
		return nil, err
	}
	answer, err := w.node.BroadcastTransaction(ctx, &ledgerv1.BroadcastTransactionRequest{Tx: tx})
	if err != nil {
		return nil, fmt.Errorf("send the transaction: %w", err)
	}
	if code := answer.GetCode(); code != ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
		return nil, &LedgerError{Code: code, Detail: answer.GetDetail()}
	}
	return w.await(ctx, hash, expires)
}

// await waits for a transaction's block.
func (w *Wallet) await(ctx context.Context, hash Hash, expiresUS int64) (*ledgerv1.GetTransactionResponse, error) {
	tick := time.NewTicker(walletLook)
	defer tick.Stop()
	for {
		answer, err := w.node.GetTransaction(ctx, &ledgerv1.GetTransactionRequest{TxHash: hash[:]})
		switch {
		case err != nil:
			return nil, fmt.Errorf("look for transaction %s: %w", hash, err)
		case answer.GetFound():
			return answer, refusalOf(answer)
		case answer.GetLedgerTimeUs() > expiresUS:
			return nil, fmt.Errorf("transaction %s was in no block before it expired", hash)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("await transaction %s: %w", hash, ctx.Err())
		case <-tick.C:
		}
	}
}

// refusalOf gives an error when nothing was applied.
func refusalOf(answer *ledgerv1.GetTransactionResponse) error {
	if code := answer.GetCode(); code != ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
		return &LedgerError{Code: code, Detail: "the transaction as a whole"}
	}
	for _, r := range answer.GetResults() {
		if r.GetCode() == ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
			return nil
		}
	}
	first := &ledgerv1.MessageResult{}
	if len(answer.GetResults()) > 0 {
		first = answer.GetResults()[0]
	}
	return &LedgerError{Code: first.GetCode(), Detail: first.GetDetail()}
}
