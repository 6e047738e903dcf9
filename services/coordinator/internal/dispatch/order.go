package dispatch

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// invalid refuses a field of a request.
func invalid(field, format string, args ...any) error {
	return &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_INVALID_FIELD, Message: fmt.Sprintf(format, args...), Field: field}
}

// draft makes the job that a request asks for, with its order: the client's own, once it is
// checked, or one that the client's allowance stands for.
func (d *Dispatcher) draft(ctx context.Context, r SubmitRequest) (job.Job, job.Payload, error) {
	payload := job.Payload{Prompt: r.Prompt, Options: r.Options}
	terms, err := d.deps.Ledger.Terms(ctx)
	if err != nil {
		return job.Job{}, payload, err
	}
	content, err := aitbc.Payload{
		Type: r.Type, Model: r.Model, ModelDigest: r.Digest, Prompt: r.Prompt, Options: r.Options,
	}.Hash()
	if err != nil {
		return job.Job{}, payload, invalid("options", "cannot be encoded: %s", err)
	}
	j := job.Job{
		Type:         r.Type,
		Model:        r.Model,
		PinnedDigest: r.Digest,
		QueueTimeout: or(r.Queue, d.config.QueueTimeout),
		ClientLimit:  r.Execution != 0,
		MaxAttempts:  d.config.MaxAttempts,
		Priority:     r.Priority,
		Shard:        d.home(),
		Phase:        job.Escrowing,
		SubmittedAt:  clock(),
	}
	j.Budget = d.budgetNames(r)
	if r.Order != nil {
		err = d.takeOrder(ctx, &j, r, terms, content)
	} else {
		err = d.writeOrder(&j, r, terms, content)
	}
	j.ID = j.Order.JobID
	return j, payload, err
}

func or[T time.Duration | aitbc.Amount](set, fallback T) T {
	if set == 0 {
		return fallback
	}
	return set
}

// totalTimeout gives the job's total timeout. One that the client leaves open is never shorter
// than the parts that it did set.
func (d *Dispatcher) totalTimeout(r SubmitRequest, execution time.Duration) time.Duration {
	return or(r.Total, max(d.config.TotalTimeout, or(r.Queue, d.config.QueueTimeout)+execution))
}

func (d *Dispatcher) writeOrder(j *job.Job, r SubmitRequest, terms Terms, content aitbc.Hash) error {
	id, err := aitbc.NewJobID(j.SubmittedAt, rand.Reader)
	if err != nil {
		return err
	}
	if _, err := rand.Read(j.Salt[:]); err != nil {
		return fmt.Errorf("make a salt: %w", err)
	}
	execution := or(r.Execution, d.config.ExecutionLimit)
	j.TotalTimeout = d.totalTimeout(r, execution)
	execution = min(execution, j.TotalTimeout) // no attempt gets more, and no escrow must cover more
	life := min(d.config.OrderLife, terms.MaxExpiryAhead)
	settleIn := life + j.TotalTimeout + terms.MinGrace // whenever within its life it is escrowed
	if settleIn > terms.MaxSettleAhead {
		return invalid("timeouts.total", "use at most %s: the ledger holds an escrow for %s", max(0, terms.MaxSettleAhead-life-terms.MinGrace), terms.MaxSettleAhead)
	}
	maxPrice := or(r.MaxPrice, costs(execution, terms.Price))
	if terms.Price == 0 { // nothing can be billed, so nothing is held
		maxPrice = 0
	}
	if paid := buys(maxPrice, terms.Price); r.MaxPrice != 0 && paid < execution {
		if paid < minExecution {
			return invalid("max_price", "pays for %s of compute at %s a second: use at least %s", paid, terms.Price, leastPrice(terms.Price))
		}
		execution, j.ClientLimit = paid, true // as if the client had set it: what was done is paid
	}
	j.Order = aitbc.Order{
		ChainID:           d.config.ChainID,
		Client:            r.Client,
		Operator:          d.operator,
		JobID:             id,
		PayloadCommitment: aitbc.Commitment(j.Salt, content),
		Price:             terms.Price,
		MaxPrice:          maxPrice,
		ExecutionLimitUS:  execution.Microseconds(),
		SettleByUS:        terms.Now.Add(settleIn).UnixMicro(),
		ExpiresUS:         terms.Now.Add(life).UnixMicro(),
	}
	return nil
}

// takeOrder checks the client's own order against the request and the ledger's terms.
func (d *Dispatcher) takeOrder(ctx context.Context, j *job.Job, r SubmitRequest, terms Terms, content aitbc.Hash) error {
	o, err := aitbc.ParseOrder(r.Order.Body)
	if err != nil {
		return invalid("order.body", "must be an order's signing bytes: %s", err)
	}
	execution := microseconds(o.ExecutionLimitUS)
	j.ClientLimit = j.ClientLimit || execution < d.config.ExecutionLimit
	j.Order, j.Salt, j.OrderSignature = o, r.Order.Salt, bytes.Clone(r.Order.Signature)
	j.TotalTimeout = d.totalTimeout(r, execution)
	switch {
	case o.ChainID != d.config.ChainID:
		return invalid("order.body", "is for the chain %q, this is %q", o.ChainID, d.config.ChainID)
	case o.Operator != d.operator:
		return invalid("order.body", "is for the operator %s, this is %s", o.Operator, d.operator)
	case o.Client != r.Client:
		return invalid("order.body", "is the account %s's, the API key is %s's", o.Client, r.Client)
	case o.JobID == aitbc.JobID{}:
		return invalid("order.body", "has no job id")
	case o.PayloadCommitment != aitbc.Commitment(j.Salt, content):
		return invalid("order.body", "commits to another payload, or the salt is not its own")
	case o.ExecutionLimitUS < minExecution.Microseconds() || o.ExecutionLimitUS > maxExecution.Microseconds():
		return invalid("order.body", "has an execution limit of %d us, want %s to %s", o.ExecutionLimitUS, minExecution, maxExecution)
	case r.Execution != 0 && r.Execution != execution:
		return invalid("timeouts.execution", "is %s, the order's is %s", r.Execution, execution)
	case r.MaxPrice != 0 && r.MaxPrice != o.MaxPrice:
		return invalid("max_price", "is %s, the order's is %s", r.MaxPrice, o.MaxPrice)
	}
	if err := checkTerms(o, j.TotalTimeout, terms); err != nil {
		return err
	}
	return d.checkClient(ctx, j, r)
}

// checkTerms holds an order to what the ledger will ask of it.
func checkTerms(o aitbc.Order, total time.Duration, terms Terms) error {
	settleBy, expires := time.UnixMicro(o.SettleByUS), time.UnixMicro(o.ExpiresUS)
	execution := microseconds(o.ExecutionLimitUS)
	longest := max(total, execution) // the ledger asks for the limit, whatever the total timeout is
	switch {
	case o.Price < terms.MinPrice || o.Price > terms.MaxPrice:
		return invalid("order.body", "has the price %s, want %s to %s", o.Price, terms.MinPrice, terms.MaxPrice)
	case o.MaxPrice <= 0:
		return invalid("order.body", "has the price limit %s, want more than 0", o.MaxPrice)
	case costs(execution, o.Price) > o.MaxPrice:
		return invalid("order.body", "has an execution limit of %s, which costs up to %s, over its price limit %s: sign a limit of at most %s",
			execution, costs(execution, o.Price), o.MaxPrice, buys(o.MaxPrice, o.Price))
	case !expires.After(terms.Now):
		return invalid("order.body", "has expired by the ledger's clock, which is at %s", terms.Now.Format(time.RFC3339))
	case expires.After(terms.Now.Add(terms.MaxExpiryAhead)):
		return invalid("order.body", "expires more than %s ahead", terms.MaxExpiryAhead)
	case settleBy.Before(terms.Now.Add(longest + terms.MinGrace)):
		return invalid("order.body", "has its settlement deadline less than the longer of total timeout and execution limit, %s, and %s ahead", longest, terms.MinGrace)
	case settleBy.After(terms.Now.Add(terms.MaxSettleAhead)):
		return invalid("order.body", "has its settlement deadline more than %s ahead", terms.MaxSettleAhead)
	}
	return nil
}

// checkClient checks the signature with the account's key. The ledger's word on that key counts; a
// key that it does not know yet comes with the request and must make the account's address.
func (d *Dispatcher) checkClient(ctx context.Context, j *job.Job, r SubmitRequest) error {
	funds, err := d.deps.Ledger.Funds(ctx, r.Client)
	if err != nil {
		return err
	}
	key := funds.Key
	if key == nil {
		key = r.Order.PublicKey
		if len(key) == 0 {
			return invalid("order.public_key", "is needed: the ledger does not know the account's key yet")
		}
		if aitbc.AccountOf(key) != r.Client {
			return invalid("order.public_key", "is not the key that the account %s was made with", r.Client)
		}
	}
	if !aitbc.Verify(key, r.Order.Body, r.Order.Signature) {
		return invalid("order.signature", "is not the account's signature of the order")
	}
	j.ClientKey = bytes.Clone(key)
	return nil
}

func microseconds(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
