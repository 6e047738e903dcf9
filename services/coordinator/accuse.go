package coordinator

import (
	"context"
	"log/slog"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/internal/obs"
)

const (
	// maxAccusations bounds those that wait for the ledger; a miner needs one only.
	maxAccusations = 64
	// accuseTimeout bounds one.
	accuseTimeout = time.Minute
)

// accuser has the ledger take the stake of miners that contradict themselves. What waits is in memory:
// nobody is owed an accusation, and a miner that goes on will give the next reason.
type accuser struct {
	ledger *ledger.Client
	signer ledger.Signer
	log    *slog.Logger
	queue  chan dispatch.Contradiction // never closed; one goroutine reads it
	expel  func(aitbc.AccountID)
}

func newAccuser(client *ledger.Client, signer ledger.Signer, log *slog.Logger) *accuser {
	return &accuser{ledger: client, signer: signer, log: log, queue: make(chan dispatch.Contradiction, maxAccusations)}
}

// accuse queues one, or drops it when too many wait.
func (a *accuser) accuse(c dispatch.Contradiction) {
	select {
	case a.queue <- c:
	default:
	}
}

// Run submits what is queued until ctx ends.
func (a *accuser) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-a.queue:
			a.submit(ctx, c)
		}
	}
}

func (a *accuser) submit(ctx context.Context, c dispatch.Contradiction) {
	ctx, cancel := context.WithTimeout(ctx, accuseTimeout)
	defer cancel()
	log := a.log.With(obs.KeyMinerID, c.Job.Miner.String(), obs.KeyJobID, c.Job.ID.String())
	if err := a.ledger.Execute(ctx, a.signer, evidence(c)); err != nil {
		log.WarnContext(ctx, "a miner signed two statements for one lease, and the ledger did not take its stake", obs.KeyError, err)
		return
	}
	log.WarnContext(ctx, "a miner signed two statements for one lease: the ledger took its stake")
	a.expel(c.Job.Miner)
}

func evidence(c dispatch.Contradiction) *ledgerv1.Message {
	j := c.Job
	return &ledgerv1.Message{Message: &ledgerv1.Message_SubmitEvidence{SubmitEvidence: &ledgerv1.SubmitEvidence{
		OrderBody: j.Order.SigningBytes(), LeaseBody: j.Lease().SigningBytes(), LeaseSignature: j.LeaseSignature,
		FirstStatementBody: j.Completion.Statement.SigningBytes(), FirstStatementSignature: j.Completion.Signature,
		SecondStatementBody: c.Statement, SecondStatementSignature: c.Signature,
	}}}
}
