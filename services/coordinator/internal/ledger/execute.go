package ledger

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

const (
	// executeLife is how long, in the ledger's time, a transaction of Execute may be committed.
	executeLife = 30 * time.Second
	// executeTries bounds the transactions that Execute makes for one call.
	executeTries = 5
	// executeLook is how often Execute looks for its transaction without a new block.
	executeLook = 500 * time.Millisecond
)

// Signer is an account and its key.
type Signer struct {
	Account aitbc.AccountID
	Key     ed25519.PrivateKey
}

// Execute has the signer do something, such as a transfer, and waits until it is committed. The
// account's sequence keeps it from happening twice, however often it is sent. It needs Run, and a
// ctx with a deadline, else it waits for a ledger that is away. Errors: *RefusedError (nothing
// happened, or only the messages without a code in Results), ErrNotFound (no such account), the
// context's.
func (c *Client) Execute(ctx context.Context, signer Signer, messages ...*ledgerv1.Message) error {
	var last error
	for range executeTries {
		head, err := c.Await(ctx)
		if err != nil {
			return errors.Join(err, last)
		}
		var done bool
		if done, last = c.executeOnce(ctx, head, signer, messages); done {
			return last
		}
		_, changed := c.Watch()
		await(ctx, changed)
	}
	return fmt.Errorf("execute transaction of %s: given up after %d tries: %w", signer.Account, executeTries, last)
}

// executeOnce makes one transaction and waits for its end; done: there is nothing to try again.
func (c *Client) executeOnce(ctx context.Context, head Head, signer Signer, messages []*ledgerv1.Message) (done bool, err error) {
	account, err := c.Account(ctx, signer.Account)
	if err != nil {
		var away *UnavailableError
		return !errors.As(err, &away), fmt.Errorf("read sequence of %s: %w", signer.Account, err)
	}
	// Two calls at once with the same messages must not make the same bytes: both would take the one
	// transaction for theirs.
	expires := head.LedgerTime.Add(executeLife - rand.N(time.Second)).Truncate(time.Microsecond)
	tx, hash, err := aitbc.SignTx(signer.Key, &ledgerv1.TxBody{
		Version: aitbc.TxVersion, ChainId: head.ChainID, Signer: signer.Account[:],
		ExpiresUs: expires.UnixMicro(), Sequence: account.GetNextSequence(), Messages: messages,
	})
	if err != nil {
		return true, err
	}
	for {
		_, changed := c.Watch() // before looking, so that no block falls between
		var refused *RefusedError
		if err := c.Broadcast(ctx, tx); errors.As(err, &refused) {
			if answer, e := c.Transaction(ctx, hash); e == nil && answer.GetFound() {
				return decided(answer), outcome(answer) // it was sent before: its repeat was refused
			}
			return !passing(refused.Code), err
		}
		// Any other error leaves open whether the node has it.
		answer, err := c.Transaction(ctx, hash)
		switch {
		case err == nil && answer.GetFound():
			return decided(answer), outcome(answer)
		case err == nil && time.UnixMicro(answer.GetLedgerTimeUs()).After(expires):
			return false, fmt.Errorf("transaction %s was in no block before it expired", hash)
		case ctx.Err() != nil:
			return true, fmt.Errorf("await transaction %s: %w", hash, ctx.Err())
		}
		await(ctx, changed)
	}
}

// passing tells refusals that another try may not meet: another transaction of the account came
// first, or the clock as known here was too old.
func passing(code ledgerv1.ResultCode) bool {
	return code == ledgerv1.ResultCode_RESULT_CODE_BAD_SEQUENCE || code == ledgerv1.ResultCode_RESULT_CODE_EXPIRED
}

// decided reports whether a committed transaction is the end: one that was refused as a whole for a
// passing reason is not.
func decided(answer *ledgerv1.GetTransactionResponse) bool { return !passing(answer.GetCode()) }

func outcome(answer *ledgerv1.GetTransactionResponse) error {
	refused := &RefusedError{Code: answer.GetCode(), Results: answer.GetResults()}
	for _, r := range answer.GetResults() {
		if refused.Code == ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
			refused.Code, refused.Detail = r.GetCode(), r.GetDetail()
		}
	}
	if refused.Code == ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
		return nil
	}
	return refused
}

// await waits for a block, or a moment.
func await(ctx context.Context, block <-chan struct{}) {
	timer := time.NewTimer(executeLook)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-block:
	case <-timer.C:
	}
}
