package ledger

import (
	"errors"
	"fmt"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

var (
	// ErrNotFound says that the ledger has no such account, grant, miner or operator.
	ErrNotFound = errors.New("not on the ledger")
	// ErrWrongChain says that the node belongs to another chain than the one expected.
	ErrWrongChain = errors.New("the ledger node is on another chain")
	// ErrMempoolFull says that the node takes no more transactions for now: try again later.
	ErrMempoolFull = errors.New("the ledger's mempool is full")
)

// UnavailableError says that the ledger did not answer, or that its clock stands still.
type UnavailableError struct {
	// Op is what was asked of it.
	Op string
	// Cause is why it failed.
	Cause error
}

// Error gives a text that may be shown to a client: it names no address.
func (e *UnavailableError) Error() string { return "the ledger is unavailable: " + e.Op }

// Unwrap gives the cause.
func (e *UnavailableError) Unwrap() error { return e.Cause }

// Reason gives the class that the API shows.
func (e *UnavailableError) Reason() coordinatorv1.ErrorReason {
	return coordinatorv1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE
}

// QueryError is a query that the node answered with an error of its own.
type QueryError struct {
	// Method is the query's full method name.
	Method string
	// Code is the number of a gRPC code.
	Code uint32
	// Detail is the node's text.
	Detail string
}

// Error gives method, code and the node's text.
func (e *QueryError) Error() string {
	return fmt.Sprintf("ledger query %s: code %d: %s", e.Method, e.Code, e.Detail)
}

// RefusedError is a transaction that the node did not take into its mempool.
type RefusedError struct {
	// Code says why: the transaction's code, or its first message's.
	Code ledgerv1.ResultCode
	// Results are its messages', in order, none of which would be applied; empty when the
	// transaction itself is refused.
	Results []*ledgerv1.MessageResult
	// Detail is the node's text.
	Detail string
}

// Error gives code and text.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("transaction refused: %s: %s", e.Code, e.Detail)
}

// Detail gives an error's whole text for the log, with what a client is not shown.
func Detail(err error) string {
	var away *UnavailableError
	if errors.As(err, &away) && away.Cause != nil {
		return err.Error() + ": " + away.Cause.Error()
	}
	return err.Error()
}
