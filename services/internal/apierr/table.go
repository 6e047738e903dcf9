package apierr

import (
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Domain is the domain of every ErrorInfo.
const Domain = "aitbc"

// statusClientClosedRequest is nginx's number for a caller that went away; HTTP itself has none.
const statusClientClosedRequest = 499

const reasonPrefix = "ERROR_REASON_"

// Row says how one reason is answered.
type Row struct {
	Reason coordinatorv1.ErrorReason
	// Code is the gRPC code.
	Code codes.Code
	// HTTP is the HTTP status.
	HTTP int
	// Retryable is true when the same call, unchanged, may succeed later.
	Retryable bool
	// Remedy tells the caller what to do.
	Remedy string
}

// table is constant: nothing writes to it. Sorted by the reason's number, so that a row is found by
// its index; a test holds that.
var table = [...]Row{
	// Never sent: it stands for a reason this build does not know.
	{coordinatorv1.ErrorReason_ERROR_REASON_UNSPECIFIED, codes.Internal, http.StatusInternalServerError, false, "Update the client."},
	{coordinatorv1.ErrorReason_ERROR_REASON_INVALID_FIELD, codes.InvalidArgument, http.StatusBadRequest, false, "Correct the fields that BadRequest names."},
	{coordinatorv1.ErrorReason_ERROR_REASON_INVALID_KEY, codes.Unauthenticated, http.StatusUnauthorized, false, "Send a valid key in X-Api-Key (clients, admins) or X-Miner-Key (miners)."},
	{coordinatorv1.ErrorReason_ERROR_REASON_SCOPE_MISSING, codes.PermissionDenied, http.StatusForbidden, false, "Use a key that has the scope named in the metadata."},
	{coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS, codes.FailedPrecondition, http.StatusPaymentRequired, false, "Fund the account, raise the allowance, lower max_price, or shorten timeouts.execution."},
	{coordinatorv1.ErrorReason_ERROR_REASON_JOB_NOT_FOUND, codes.NotFound, http.StatusNotFound, false, "Check the job id and that the key is of the job's account."},
	{coordinatorv1.ErrorReason_ERROR_REASON_RECEIPT_NOT_FOUND, codes.NotFound, http.StatusNotFound, false, "Wait until the job's receipt_id is set; use a key of the job's client or miner."},
	{coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND, codes.NotFound, http.StatusNotFound, false, "Choose one of GET /v1/models."},
	{coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND, codes.NotFound, http.StatusNotFound, false, "Choose one of GET /v1/miners."},
	{coordinatorv1.ErrorReason_ERROR_REASON_IDEMPOTENCY_MISMATCH, codes.AlreadyExists, http.StatusConflict, false, "Use a new request_id for a new request."},
	{coordinatorv1.ErrorReason_ERROR_REASON_JOB_EXISTS, codes.AlreadyExists, http.StatusConflict, false, "Sign an order with a new job id."},
	{coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE, codes.FailedPrecondition, http.StatusConflict, false, "Read the job: its state does not allow this any more, or not yet."},
	{coordinatorv1.ErrorReason_ERROR_REASON_LEASE_NOT_HELD, codes.FailedPrecondition, http.StatusConflict, false, "Drop the job: another attempt or none has it. GET /v1/leases lists what the miner holds."},
	{coordinatorv1.ErrorReason_ERROR_REASON_PROOF_REJECTED, codes.InvalidArgument, http.StatusBadRequest, false, "Hash the result's exact bytes and sign the statement of this lease with the miner's key."},
	// gRPC itself answers a message over its limit with this code.
	{coordinatorv1.ErrorReason_ERROR_REASON_BODY_TOO_LARGE, codes.ResourceExhausted, http.StatusRequestEntityTooLarge, false, "Send less."},
	{coordinatorv1.ErrorReason_ERROR_REASON_RATE_LIMITED, codes.ResourceExhausted, http.StatusTooManyRequests, true, "Come back after Retry-After (RetryInfo)."},
	{coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, codes.Unavailable, http.StatusServiceUnavailable, true, "Come back after Retry-After (RetryInfo)."},
	{coordinatorv1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE, codes.Unavailable, http.StatusServiceUnavailable, true, "Try again; tell the operator when it lasts."},
	{coordinatorv1.ErrorReason_ERROR_REASON_INTERNAL, codes.Internal, http.StatusInternalServerError, false, "Report the request id to the operator."},
	{coordinatorv1.ErrorReason_ERROR_REASON_ROUTE_NOT_FOUND, codes.Unimplemented, http.StatusNotFound, false, "See /openapi.json. HTTP 405 when the path exists with the methods in Allow."},
	{coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED, codes.Canceled, statusClientClosedRequest, true, "Give the call a longer deadline; with the same request_id it is safe to repeat."},
	{coordinatorv1.ErrorReason_ERROR_REASON_QUEUE_TIMEOUT, codes.DeadlineExceeded, http.StatusGatewayTimeout, true, "Submit again later, or with a longer timeouts.queue."},
	{coordinatorv1.ErrorReason_ERROR_REASON_TOTAL_TIMEOUT, codes.DeadlineExceeded, http.StatusGatewayTimeout, true, "Submit again later, or with a longer timeouts.total."},
	{coordinatorv1.ErrorReason_ERROR_REASON_EXECUTION_LIMIT, codes.DeadlineExceeded, http.StatusGatewayTimeout, false, "Ask for fewer tokens (options.num_predict) or set a longer timeouts.execution or a higher max_price."},
	{coordinatorv1.ErrorReason_ERROR_REASON_MINER_LOST, codes.Unavailable, http.StatusServiceUnavailable, true, "Submit again."},
	{coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_OVERLOADED, codes.Unavailable, http.StatusServiceUnavailable, true, "Submit again later."},
	{coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_ERROR, codes.Aborted, http.StatusBadGateway, true, "Submit again; nothing was paid."},
	{coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_INCOMPLETE, codes.Aborted, http.StatusBadGateway, true, "Submit again; nothing was paid."},
	{coordinatorv1.ErrorReason_ERROR_REASON_REQUEST_REJECTED, codes.InvalidArgument, http.StatusBadRequest, false, "Change the request as the message says; nothing was paid."},
	{coordinatorv1.ErrorReason_ERROR_REASON_ESCROW_REFUSED, codes.FailedPrecondition, http.StatusPaymentRequired, false, "Check balance and allowance (GET /v1/account), then submit again."},
	{coordinatorv1.ErrorReason_ERROR_REASON_CANCELLED, codes.Canceled, http.StatusConflict, false, "Nothing: the client asked for it."},
	{coordinatorv1.ErrorReason_ERROR_REASON_SETTLEMENT_EXPIRED, codes.FailedPrecondition, http.StatusConflict, false, "Nothing: the whole escrow went back to the client."},
	{coordinatorv1.ErrorReason_ERROR_REASON_ASSIGNMENT_MISMATCH, codes.FailedPrecondition, http.StatusConflict, false, "Send the job's own type, prompt and model, or the right job id."},
	{coordinatorv1.ErrorReason_ERROR_REASON_COORDINATOR_UNAVAILABLE, codes.Unavailable, http.StatusServiceUnavailable, true, "Wait until GET /v1/status of the miner says connected."},
	{coordinatorv1.ErrorReason_ERROR_REASON_ACCOUNT_NOT_FOUND, codes.NotFound, http.StatusNotFound, false, "Check the address; an account exists from its first transfer on."},
	{coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_ALLOWED, codes.PermissionDenied, http.StatusForbidden, false, "Ask for a model that the key is for (the metadata's models), or use another key."},
	{coordinatorv1.ErrorReason_ERROR_REASON_SPEND_LIMIT, codes.ResourceExhausted, http.StatusTooManyRequests, true, "Lower max_price, wait for running jobs to give back what they do not use, or come back when the day (UTC) is over: Retry-After."},
	{coordinatorv1.ErrorReason_ERROR_REASON_KEY_NOT_FOUND, codes.NotFound, http.StatusNotFound, false, "Choose one of GET /v1/keys."},
	{coordinatorv1.ErrorReason_ERROR_REASON_PRIORITY_NOT_ALLOWED, codes.PermissionDenied, http.StatusForbidden, false, "Leave priority out, or use a key that an admin made with this priority."},
}

// RowOf gives a reason's row; an unknown reason has INTERNAL's.
func RowOf(reason coordinatorv1.ErrorReason) Row {
	if reason <= 0 || int(reason) >= len(table) {
		reason = coordinatorv1.ErrorReason_ERROR_REASON_INTERNAL
	}
	return table[reason]
}

// Rows gives a copy of the whole table in the order of the reasons' numbers, the never sent zero
// left out.
func Rows() []Row {
	return append([]Row(nil), table[1:]...)
}

// Word is a reason as it is sent, stored and logged: without its prefix.
func Word(reason coordinatorv1.ErrorReason) string {
	return strings.TrimPrefix(reason.String(), reasonPrefix)
}

// ParseWord is the inverse of Word; ok is false for a word that this build does not know.
func ParseWord(word string) (reason coordinatorv1.ErrorReason, ok bool) {
	number, ok := coordinatorv1.ErrorReason_value[reasonPrefix+word]
	return coordinatorv1.ErrorReason(number), ok && number != 0
}
