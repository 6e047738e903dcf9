package dispatch

import (
	"errors"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Quotas bound what one client may have under way. Zero is no bound.
type Quotas struct {
	// Jobs is how many of its jobs may be live at once.
	Jobs int
	// Tokens is how many tokens its live jobs may come to, prompts and longest answers together.
	Tokens int64
	// SpendPerDay is how much may go into its jobs in a day (UTC): what is escrowed, less what returns. It
	// holds for all replicas together, and is kept in the store.
	SpendPerDay aitbc.Amount
}

func (q Quotas) validate() error {
	if q.Jobs < 0 || q.Tokens < 0 || q.SpendPerDay < 0 {
		return errors.New("quotas of jobs, tokens and spend per day: want at least 0")
	}
	return nil
}

// usage is what a client has under way.
type usage struct {
	jobs   int
	tokens int64
}

// quotaPause is how long a client with too much under way should wait: until some of it is done.
const quotaPause = time.Second

// book takes a new job into its client's usage, or says which quota is reached.
func (d *Dispatcher) book(e *entry) error {
	q, u := d.config.Quotas, d.usageOf(e.client)
	switch {
	case q.Jobs > 0 && u.jobs >= q.Jobs:
		return &quotaError{fmt.Sprintf("%d of your jobs are under way, which is the most: come back when some are done", u.jobs)}
	case q.Tokens > 0 && u.tokens+e.tokens > q.Tokens:
		d.tidyUsage(e.client)
		return &quotaError{fmt.Sprintf("your jobs under way come to %d tokens and this one to %d, at most %d are allowed: come back when some are done, or lower options.num_predict", u.tokens, e.tokens, q.Tokens)}
	}
	u.jobs, u.tokens, e.booked = u.jobs+1, u.tokens+e.tokens, true
	return nil
}

// rebook takes a job from before a restart into its client's usage, whatever the quotas are now.
func (d *Dispatcher) rebook(e *entry) {
	d.usageOf(e.client).jobs++
	e.booked = true
}

func (d *Dispatcher) usageOf(client aitbc.AccountID) *usage {
	u := d.used[client]
	if u == nil {
		u = &usage{}
		d.used[client] = u
	}
	return u
}

// unbook takes a job that has left out of its client's usage.
func (d *Dispatcher) unbook(e *entry) {
	u := d.used[e.client]
	if u == nil || !e.booked {
		return
	}
	e.booked = false
	u.jobs, u.tokens = u.jobs-1, u.tokens-e.tokens
	d.tidyUsage(e.client)
}

// tidyUsage forgets a client that has nothing under way.
func (d *Dispatcher) tidyUsage(client aitbc.AccountID) {
	if d.used[client].jobs == 0 {
		delete(d.used, client)
	}
}

// quotaError is a refusal that passes.
type quotaError struct{ message string }

// Error says which quota is reached.
func (e *quotaError) Error() string { return e.message }

// Reason gives the class that the API shows.
func (*quotaError) Reason() coordinatorv1.ErrorReason {
	return coordinatorv1.ErrorReason_ERROR_REASON_RATE_LIMITED
}

// RetryAfter gives when to come back.
func (*quotaError) RetryAfter() time.Duration { return quotaPause }
