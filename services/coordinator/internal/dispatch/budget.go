package dispatch

import (
	"context"
	"fmt"
	"strings"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// What keys and accounts spend is counted in the store, in the transactions that begin and end jobs: so it is
// right after a restart, and with several replicas. It counts for the day on which a job was submitted. An
// account's spending has the account's address for its name, and is counted only while there is a quota.

// budgets gives those that a request must stay within.
func (d *Dispatcher) budgets(r SubmitRequest) []Budget {
	var all []Budget
	if r.Budget.PerDay > 0 {
		all = append(all, r.Budget)
	}
	if most := d.config.Quotas.SpendPerDay; most > 0 {
		all = append(all, Budget{Line: r.Client.String(), PerDay: most, ofAccount: true})
	}
	return all
}

// budgetNames gives the names of a request's budgets as a job keeps them.
func (d *Dispatcher) budgetNames(r SubmitRequest) string {
	var names []string
	for _, b := range d.budgets(r) {
		names = append(names, b.Line)
	}
	return strings.Join(names, ",")
}

// check says why a job is more than what is left of the budget; nil: it is not.
func (b Budget) check(tx store.Tx, j job.Job) error {
	if j.Order.MaxPrice == 0 {
		return nil
	}
	day := store.DayOf(j.SubmittedAt)
	spent, err := tx.Spent(b.Line, day)
	if err != nil {
		return err
	}
	if spent+j.Order.MaxPrice > b.PerDay {
		return &spendError{budget: b, spent: spent, job: j.Order.MaxPrice, end: day.End(), wait: day.End().Sub(j.SubmittedAt)}
	}
	return nil
}

// spend counts an amount, negative for what comes back, for the job's budgets.
func spend(tx store.Tx, j job.Job, amount aitbc.Amount) error {
	if j.Budget == "" || amount == 0 {
		return nil
	}
	for name := range strings.SplitSeq(j.Budget, ",") {
		if err := tx.Spend(name, store.DayOf(j.SubmittedAt), amount); err != nil {
			return err
		}
	}
	return nil
}

// returned gives what of an ended job's escrow came back: all of it, unless a miner was paid.
func returned(j job.Job) aitbc.Amount {
	if s := j.Settlement; s != nil {
		return s.Refunded
	}
	return j.Order.MaxPrice
}

// Available gives what another job like this one could cost at most, as far as is known: the least of
// balance, allowance (unless the client signs) and what is left of the budgets, less what waits to be
// escrowed. It asks the ledger nothing that the submission of the job has not asked in the same block.
// Priced: jobs cost something. Errors: LEDGER_UNAVAILABLE, the store's.
func (d *Dispatcher) Available(ctx context.Context, r SubmitRequest) (available aitbc.Amount, priced bool, err error) {
	terms, err := d.deps.Ledger.Terms(ctx)
	if err != nil || terms.Price == 0 {
		return 0, false, err
	}
	d.mu.Lock()
	waiting := d.waiting[r.Client]
	d.mu.Unlock()
	funds, err := d.deps.Ledger.Funds(ctx, r.Client)
	if err != nil {
		return 0, true, err
	}
	free := funds.Balance
	if r.Order == nil {
		free = min(free, funds.Allowance)
	}
	free -= waiting
	for _, b := range d.budgets(r) {
		spent, err := d.deps.Store.SpentOf(ctx, b.Line, store.DayOf(clock()))
		if err != nil {
			return 0, true, err
		}
		free = min(free, b.PerDay-spent)
	}
	return max(0, free), true, nil
}

// spendError says that a key or an account has spent what it may in a day.
type spendError struct {
	budget     Budget
	spent, job aitbc.Amount
	end        time.Time
	wait       time.Duration
}

// Error says so.
func (e *spendError) Error() string {
	whose := "API key"
	if e.budget.ofAccount {
		whose = "account"
	}
	return fmt.Sprintf("the jobs of this %s may cost %s today (UTC) and this one %s, its limit is %s a day: lower max_price, wait until running jobs have given back what they did not use, or come back at %s",
		whose, e.spent, e.job, e.budget.PerDay, e.end.Format(time.RFC3339))
}

// Reason gives the class that the API shows.
func (*spendError) Reason() coordinatorv1.ErrorReason {
	return coordinatorv1.ErrorReason_ERROR_REASON_SPEND_LIMIT
}

// FaultyField is what decides how much the job may cost.
func (*spendError) FaultyField() string { return "max_price" }

// Details gives the variables of the text.
func (e *spendError) Details() map[string]string {
	return map[string]string{
		"spent": e.spent.String(), "max_price": e.job.String(), "spend_per_day": e.budget.PerDay.String(), "until": e.end.Format(time.RFC3339),
	}
}

// RetryAfter gives when the day is over.
func (e *spendError) RetryAfter() time.Duration { return e.wait }
