package attempt

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

// Earning is what an accepted result was promised.
type Earning struct {
	// JobID and Model are the job's.
	JobID aitbc.JobID
	Model string
	// LeasedAt is when the operator handed it over, by the operator's clock.
	LeasedAt time.Time
	// Metered is the accepted compute time, OutputTokens what the engine counted.
	Metered      time.Duration
	OutputTokens int64
	// Amount is what the ledger pays for it.
	Amount aitbc.Amount
}

// Earnings reads what the accepted results that are kept were promised, the newest first. Errors: those
// of records that cannot be read; the others are given.
func (r *Runner) Earnings() ([]Earning, error) { return EarningsOf(r.deps.Spool) }

// EarningsOf reads the earnings that a spool has.
func EarningsOf(s *spool.Spool) ([]Earning, error) {
	var earnings []Earning
	var faults []error
	for _, id := range s.AcceptedIDs() {
		record, err := s.Claimable(id)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		earning, err := earningOf(record)
		if err != nil {
			faults = append(faults, fmt.Errorf("read what %s earned: %w", id, err))
			continue
		}
		earnings = append(earnings, earning)
	}
	slices.SortFunc(earnings, func(a, b Earning) int {
		return cmp.Or(b.LeasedAt.Compare(a.LeasedAt), cmp.Compare(a.JobID.String(), b.JobID.String()))
	})
	if len(faults) > 0 {
		return earnings, fmt.Errorf("%d records cannot be read, the first: %w", len(faults), faults[0])
	}
	return earnings, nil
}

// earningOf computes the pay as the ledger does.
func earningOf(record spool.Record) (Earning, error) {
	lease, err := aitbc.ParseLease(record.Lease.GetBody())
	if err != nil {
		return Earning{}, err
	}
	order, err := aitbc.ParseOrder(record.Lease.GetOrderBody())
	if err != nil {
		return Earning{}, err
	}
	statement, err := aitbc.ParseStatement(record.Result.GetStatementBody())
	if err != nil {
		return Earning{}, err
	}
	acceptance, err := aitbc.ParseAcceptance(record.Acceptance.GetBody())
	if err != nil {
		return Earning{}, err
	}
	metered := time.Duration(acceptance.MeteredUS) * time.Microsecond
	return Earning{
		JobID: lease.JobID, Model: lease.Model, LeasedAt: time.UnixMicro(lease.IssuedUS).UTC(), Metered: metered,
		OutputTokens: int64(statement.OutputTokens), Amount: aitbc.Price(metered, order.Price, order.MaxPrice),
	}, nil
}
