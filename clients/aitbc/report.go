package main

import (
	"errors"
	"fmt"
	"math"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// report is an error as it is told, in text or in JSON.
type report struct {
	Reason            string        `json:"reason,omitempty"`
	Message           string        `json:"message"`
	Fields            []fieldReport `json:"fields,omitempty"`
	Remedy            string        `json:"remedy,omitempty"`
	RequestID         string        `json:"request_id,omitempty"`
	RetryAfterSeconds float64       `json:"retry_after_seconds,omitempty"`
	Tries             int           `json:"tries,omitempty"`
	JobID             string        `json:"job_id,omitempty"`
	ExitCode          int           `json:"exit_code"`
}

type fieldReport struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func reportOf(err error) report {
	r := report{Message: err.Error()}
	var usage usageError
	var call *aitbc.Error
	var job *aitbc.JobError
	var wait waitError
	switch {
	case errors.As(err, &usage):
		r.Remedy = "see aitbc --help"
	case errors.Is(err, aitbc.ErrReceipt):
		r.Remedy = "do not trust this receipt; keep it (-o json) as evidence and ask the operator"
	case errors.As(err, &job):
		r.Reason, r.Message, r.JobID = string(job.Reason), job.Message, job.JobID.String()
		r.Remedy = remedy(job.Reason)
	case errors.As(err, &call):
		r.Reason, r.RequestID, r.Tries = string(call.Reason), call.RequestID, call.Tries
		r.RetryAfterSeconds = call.RetryAfter.Seconds()
		for _, f := range call.Fields {
			r.Fields = append(r.Fields, fieldReport(f))
		}
		r.Remedy = remedy(call.Reason)
		if call.Reason == aitbc.ReasonUnreachable && errors.As(err, new(ledgerError)) {
			r.Remedy = "check that the ledger's node runs and that AITBC_LEDGER or --ledger names it"
		}
		if call.RetryAfter > 0 {
			r.Remedy = fmt.Sprintf("come back in %.0f s", math.Ceil(call.RetryAfter.Seconds()))
		}
	}
	if errors.As(err, &wait) {
		r.JobID = wait.id.String()
		r.Remedy = "the job goes on: aitbc status " + r.JobID
	}
	return r
}

// remedy says what to do about a reason; docs/errors.md says more.
func remedy(reason aitbc.Reason) string {
	switch reason {
	case aitbc.ReasonInvalidKey:
		return "give a good key with AITBC_API_KEY, CLIENT_KEY or --api-key, or keep one with: aitbc login. " +
			"An admin makes one with: aitbc keys create (for an account of your own: aitbc account create); aitbcd dev has client_dev_key_1"
	case aitbc.ReasonScopeMissing:
		return "use a key that may do this"
	case aitbc.ReasonModelNotAllowed:
		return "ask for a model that the key is for, or have an admin make another key: aitbc keys create --models"
	case aitbc.ReasonSpendLimit:
		return "set a lower --max-price, or have an admin make a key with a higher limit: aitbc keys create --spend-per-day"
	case aitbc.ReasonRouteNotFound:
		return "this coordinator has no such call: only development networks have a faucet, and an older coordinator lacks what is new"
	case aitbc.ReasonKeyNotFound:
		return "check the key's id: aitbc keys list"
	case aitbc.ReasonInsufficientFunds:
		return "lower --max-price, or see what the account has: aitbc account. Tokens: from the operator, on a development network from " +
			"aitbc account faucet. An account of your own signs with --key-file, or lets the operator spend: aitbc account allowance set"
	case aitbc.ReasonJobNotFound:
		return "check the id and the key: aitbc jobs lists your jobs"
	case aitbc.ReasonReceiptNotFound:
		return "a job has its receipt once it is completed: aitbc status JOB_ID"
	case aitbc.ReasonModelNotFound:
		return "choose another model: aitbc models lists them"
	case aitbc.ReasonIdempotencyMismatch:
		return "use another --request-id for another job"
	case aitbc.ReasonWrongState:
		return "see where the job is: aitbc status JOB_ID"
	case aitbc.ReasonRateLimited, aitbc.ReasonOverloaded, aitbc.ReasonLedgerUnavailable:
		return "try again later"
	case aitbc.ReasonInternal:
		return "report the request id to the operator"
	case aitbc.ReasonUnreachable:
		return "check that the coordinator runs and that AITBC_URL or --url names it"
	case aitbc.ReasonQueueTimeout:
		return "no miner took it in time: try again, or with a longer --queue-timeout"
	case aitbc.ReasonExecutionLimit:
		return "allow it more with --execution-timeout and --max-price, or less work with --option num_predict=N"
	}
	return ""
}
