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
	// SpendPerDay is how much may go into its jobs in any day: what is escrowed, less what returns.
	SpendPerDay aitbc.Amount
}

func (q Quotas) validate() error {
	if q.Jobs < 0 || q.Tokens < 0 || q.SpendPerDay < 0 {
		return errors.New("quotas of jobs, tokens and spend per day: want at least 0")
	}
	return nil
}

// usage is what a client has under way and has spent lately.
type usage struct {
	jobs   int
	tokens int64
	// spent runs off at a day's quota a day, and is what it was at the moment at.
	spent aitbc.Amount
	at    time.Time
}

// quotaPause is how long a client with too much under way should wait: until some of it is done.
const quotaPause = time.Second

const day = 24 * time.Hour

// spentBy gives what is left of a client's spending at now.
func (u *usage) spentBy(now time.Time, perDay aitbc.Amount) aitbc.Amount {
	gone := aitbc.Amount(float64(perDay) * min(now.Sub(u.at).Seconds()/day.Seconds(), 1))
	return max(0, u.spent-gone)
}

// book takes a new job into its client's usage, or says which quota is reached.
func (d *Dispatcher) book(now time.Time, e *entry) error {
	q, u := d.config.Quotas, d.used[e.client]
	if u == nil {
		u = &usage{at: now}
	}
	spent := u.spentBy(now, q.SpendPerDay)
	switch {
	case q.Jobs > 0 && u.jobs >= q.Jobs:
		return &quotaError{quotaPause, fmt.Sprintf("%d of your jobs are under way, which is the most: come back when some are done", u.jobs)}
	case q.Tokens > 0 && u.tokens+e.tokens > q.Tokens:
		return &quotaError{quotaPause, fmt.Sprintf("your jobs under way come to %d tokens and this one to %d, at most %d are allowed: come back when some are done, or lower options.num_predict", u.tokens, e.tokens, q.Tokens)}
	case q.SpendPerDay > 0 && spent+e.escrow > q.SpendPerDay:
		over := min(spent+e.escrow-q.SpendPerDay, q.SpendPerDay)
		wait := time.Duration(float64(day) * float64(over) / float64(q.SpendPerDay))
		return &quotaError{max(wait, quotaPause), fmt.Sprintf("your jobs of the last day may cost %s and this one %s, at most %s a day are allowed: lower max_price, or come back in %s",
			spent, e.escrow, q.SpendPerDay, wait.Round(time.Second))}
	}
	d.used[e.client] = u
	u.jobs, u.tokens, u.spent, u.at, e.booked = u.jobs+1, u.tokens+e.tokens, spent+e.escrow, now, true
	return nil
}

// rebook takes a job from before a restart into its client's usage, whatever the quotas are now. What was
// spent on jobs that had left before is forgotten: the ledger's own allowance a day is not.
func (d *Dispatcher) rebook(now time.Time, e *entry) {
	u := d.usageOf(now, e.client)
	u.jobs++
	u.spent += e.escrow
	e.booked = true
}

func (d *Dispatcher) usageOf(now time.Time, client aitbc.AccountID) *usage {
	u := d.used[client]
	if u == nil {
		u = &usage{at: now}
		d.used[client] = u
	}
	return u
}

// unbook takes a job that has left out of its client's usage, with what of its escrow came back.
func (d *Dispatcher) unbook(now time.Time, e *entry) {
	u := d.used[e.client]
	if u == nil || !e.booked {
		return
	}
	e.booked = false
	spent := max(0, u.spentBy(now, d.config.Quotas.SpendPerDay)-e.returned())
	u.jobs, u.tokens, u.spent, u.at = u.jobs-1, u.tokens-e.tokens, spent, now
	if u.jobs == 0 && (spent == 0 || d.config.Quotas.SpendPerDay == 0) {
		delete(d.used, e.client)
	}
}

// returned gives what of a job's escrow came back.
func (e *entry) returned() aitbc.Amount {
	if e.job.Settlement == nil { // also one that was refused while it was submitted
		return e.escrow
	}
	return returned(e.job)
}

// quotaError is a refusal that passes.
type quotaError struct {
	wait    time.Duration
	message string
}

// Error says which quota is reached.
func (e *quotaError) Error() string { return e.message }

// Reason gives the class that the API shows.
func (*quotaError) Reason() coordinatorv1.ErrorReason {
	return coordinatorv1.ErrorReason_ERROR_REASON_RATE_LIMITED
}

// RetryAfter gives when to come back.
func (e *quotaError) RetryAfter() time.Duration { return e.wait }
