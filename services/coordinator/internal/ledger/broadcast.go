package ledger

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// MaxTxBytes bounds a transaction: CometBFT's JSON-RPC takes bodies of 1 MB, in which the
// transaction is base64.
const MaxTxBytes = 700_000

// Broadcast hands a signed transaction to the mempool. No error means that it is there, now or
// from an earlier call, or that it has been committed: whether it applied is asked by Transaction.
// Repeating it is harmless. Errors: *RefusedError, ErrMempoolFull, *UnavailableError (nothing is
// known: the node may have it).
func (c *Client) Broadcast(ctx context.Context, tx []byte) error {
	if len(tx) > MaxTxBytes {
		return fmt.Errorf("broadcast transaction: %d bytes, at most %d", len(tx), MaxTxBytes)
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.CallTimeout)
	defer cancel()
	result, err := c.endpoint.BroadcastTxSync(ctx, tx)
	if err != nil {
		return broadcastError(err)
	}
	switch ledgerv1.ResultCode(result.Code) {
	case ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED, ledgerv1.ResultCode_RESULT_CODE_DUPLICATE_TX:
		return nil
	default:
	}
	// The application's check answers like GetTransaction: without results, the transaction itself
	// is refused; else none of its messages would be applied.
	var answer ledgerv1.GetTransactionResponse
	if err := proto.Unmarshal(result.Data, &answer); err != nil {
		return fmt.Errorf("decode refusal of a transaction: %w", err)
	}
	refused := &RefusedError{
		Code: ledgerv1.ResultCode(result.Code), Detail: result.Log, Results: answer.GetResults(),
	}
	if len(refused.Results) > 0 && refused.Results[0].GetDetail() == "" {
		refused.Results[0].Detail = result.Log // the log is the first message's
	}
	return refused
}

// broadcastError tells apart what the node says in words only: over JSON-RPC its errors are text.
// The texts are those of CometBFT 0.40 (mempool/errors.go).
func broadcastError(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "tx already exists in cache"):
		return nil
	case strings.Contains(text, "mempool is full"), strings.Contains(text, "mempool is still rechecking"):
		return fmt.Errorf("broadcast transaction: %w: %w", ErrMempoolFull, err)
	default:
		return &UnavailableError{Op: "broadcast transaction", Cause: err}
	}
}
