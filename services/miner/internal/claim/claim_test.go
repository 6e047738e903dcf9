package claim_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/miner/internal/claim"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

// fakeLedger has one open job until a receipt settles it.
type fakeLedger struct {
	mu    sync.Mutex
	job   *ledgerv1.GetJobResponse
	away  error
	claim *ledgerv1.RecordReceipt
	sent  []time.Time
	asked int
	fault error
}

func (l *fakeLedger) Job(context.Context, aitbc.JobID, aitbc.AccountID) (*ledgerv1.GetJobResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.job, l.away
}

func (l *fakeLedger) Send(_ context.Context, m *ledgerv1.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claim = m.GetRecordReceipt()
	l.sent = append(l.sent, time.Now())
	if l.fault == nil {
		l.job = &ledgerv1.GetJobResponse{Settlement: &ledgerv1.Settlement{}}
	}
	return l.fault
}

type records map[string]spool.Record

func (r records) AcceptedIDs() []string {
	var ids []string
	for id := range r {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (r records) Claimable(id string) (spool.Record, error) { return r[id], nil }

func accepted() spool.Record {
	operator := ed25519.NewKeyFromSeed(make([]byte, 32))
	o := aitbc.Order{ChainID: "c", JobID: aitbc.JobID{1}, SettleByUS: 1_000}
	lease := aitbc.Lease{ChainID: "c", OrderHash: o.Hash(), JobID: o.JobID, Attempt: 2, Model: "m"}
	statement := aitbc.Statement{ChainID: "c", JobID: o.JobID, Attempt: 2, LeaseHash: lease.Hash(), ComputeUS: 9}
	acceptance := aitbc.Acceptance{ChainID: "c", JobID: o.JobID, StatementHash: statement.Hash(), MeteredUS: 8}
	return spool.Record{
		Lease:      &coordinatorv1.Lease{Body: lease.SigningBytes(), Signature: []byte("lease"), OrderBody: o.SigningBytes()},
		Result:     &coordinatorv1.AttemptResult{StatementBody: statement.SigningBytes(), StatementSignature: []byte("statement")},
		Acceptance: &coordinatorv1.Acceptance{Body: acceptance.SigningBytes(), Signature: aitbc.Sign(operator, acceptance.SigningBytes())},
	}
}

// during runs a claimer for a while and gives when it began.
func during(t *testing.T, l *fakeLedger, d time.Duration, meanwhile func()) time.Time {
	t.Helper()
	begin := time.Now()
	c := claim.New(claim.DefaultConfig(), records{"lease": accepted()}, l, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	if meanwhile != nil {
		meanwhile()
	}
	require.NoError(t, <-ended)
	return begin
}

func open() *ledgerv1.GetJobResponse { return &ledgerv1.GetJobResponse{Escrow: &ledgerv1.Escrow{}} }

func TestWhatTheOperatorDoesNotSettleIsClaimedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLedger{job: open()}
		begin := during(t, l, time.Minute, nil)
		require.Equal(t, []time.Time{begin.Add(10 * time.Second)}, l.sent)
		require.EqualValues(t, 2, l.claim.GetAttempt())
		require.EqualValues(t, 8, l.claim.GetMeteredUs())
		require.Equal(t, []byte("lease"), l.claim.GetLeaseSignature())
		require.Equal(t, []byte("statement"), l.claim.GetStatementSignature())
		require.Len(t, l.claim.GetAcceptanceSignature(), 64)
		require.Equal(t, 12, l.asked, "once it is settled nobody asks any more")
	})
}

func TestWhatTheOperatorSettlesIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLedger{job: &ledgerv1.GetJobResponse{Settlement: &ledgerv1.Settlement{}}}
		during(t, l, time.Minute, nil)
		require.Empty(t, l.sent)
		require.Equal(t, 1, l.asked)
	})
}

func TestARefundIsBeatenAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLedger{job: open()}
		var asked time.Time
		during(t, l, time.Minute, func() {
			<-time.After(3500 * time.Millisecond)
			asked = time.Now()
			l.mu.Lock()
			defer l.mu.Unlock()
			l.job = &ledgerv1.GetJobResponse{Escrow: &ledgerv1.Escrow{RefundFinalUs: 7}}
		})
		require.Len(t, l.sent, 1)
		require.LessOrEqual(t, l.sent[0].Sub(asked), time.Second)
	})
}

func TestARefusedClaimIsTriedAgainLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLedger{job: open(), fault: &aitbc.LedgerError{Code: ledgerv1.ResultCode_RESULT_CODE_NOT_MINER}}
		begin := during(t, l, 25*time.Second, nil)
		require.Equal(t, []time.Time{begin.Add(10 * time.Second), begin.Add(20 * time.Second)}, l.sent)
	})
}

func TestALedgerThatIsAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLedger{job: open(), away: errors.New("away")}
		begin := during(t, l, time.Minute, func() {
			<-time.After(30500 * time.Millisecond)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.away = nil
		})
		require.Equal(t, []time.Time{begin.Add(31 * time.Second)}, l.sent)
	})
}

func TestWhatTheLedgerReturnedIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLedger{job: &ledgerv1.GetJobResponse{LedgerTimeUs: 1_001}}
		during(t, l, time.Minute, nil)
		require.Empty(t, l.sent)
		require.Equal(t, 1, l.asked)
	})
}
