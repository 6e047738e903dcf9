package e2e

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/tools/devnet/network"
	"github.com/aitbc/aitbc/tools/evilminer"
)

const evilModel = "tiny:latest"

// evil is a network whose only miner is ours.
type evil struct {
	*testing.T
	n     *network.Network
	miner *evilminer.Miner
}

// lease submits a job and gives it with its lease.
func (e *evil) lease(change func(job map[string]any)) (id string, lease *coordinatorv1.Lease) {
	e.Helper()
	job := seedJob()
	if change != nil {
		change(job)
	}
	id = submit(e.T, e.n, job)
	lease, err := e.miner.Lease(evilModel)
	require.NoError(e, err)
	require.Equal(e, id, lease.GetJobId())
	return id, lease
}

// result is an honest one, but for what bend does to its statement.
func (e *evil) result(lease *coordinatorv1.Lease, answer string, bend func(*aitbc.Statement)) *coordinatorv1.AttemptResult {
	e.Helper()
	s, err := e.miner.Statement(lease, answer)
	require.NoError(e, err)
	if bend != nil {
		bend(&s)
	}
	return e.miner.Result(lease.GetLeaseId(), answer, s)
}

func (e *evil) verdict(r *coordinatorv1.AttemptResult) (*coordinatorv1.Acceptance, string) {
	e.Helper()
	require.NoError(e, e.miner.Tell(r))
	accepted, refused, err := e.miner.Verdict(r.GetLeaseId())
	require.NoError(e, err)
	require.NoError(e, e.miner.State(evilModel))
	return accepted, refused
}

// requireUnpaid requires that the job failed for that reason and cost nothing.
func (e *evil) requireUnpaid(id, reason string) {
	e.Helper()
	job := awaitStatus(e.T, e.n, id, "failed")
	require.Equal(e, reason, failure(job))
	require.Equal(e, "0aitbc", job.text("cost"))
}

// honest runs a job as it should be: whatever was done before, the network goes on.
func (e *evil) honest() {
	e.Helper()
	id, lease := e.lease(nil)
	accepted, refused := e.verdict(e.result(lease, "honest", nil))
	require.NotNil(e, accepted, refused)
	awaitStatus(e.T, e.n, id, "completed")
}

// deed is one way to misbehave. The texts are docs/bad-miners.md.
type deed struct {
	name, happens, pays, records string
	do                           func(e *evil)
}

func rejectedBy(bend func(*aitbc.Statement)) func(e *evil) {
	return func(e *evil) {
		id, lease := e.lease(nil)
		accepted, _ := e.verdict(e.result(lease, "answer", bend))
		require.Nil(e, accepted)
		e.requireUnpaid(id, "PROOF_REJECTED")
	}
}

func deeds() []deed {
	const rejected, nothing, blamed = "the result is rejected, the job goes to another miner, or fails", "nothing", "PROOF_REJECTED; the miner's reputation falls, and it never gets the job again"
	return []deed{
		{"inflates its time", "the meter is bounded by the coordinator's own clock", "at most the time from hand-over to result", "both times, in the receipt", inflates},
		{"signs with nothing", rejected, nothing, blamed, unsigned},
		{"names another model's digest", rejected, nothing, blamed, rejectedBy(func(s *aitbc.Statement) { s.ModelDigest[0] ^= 1 })},
		{"signs about another answer", rejected, nothing, blamed, rejectedBy(func(s *aitbc.Statement) { s.ResultCommitment[0] ^= 1 })},
		{"signs about another attempt", rejected, nothing, blamed, rejectedBy(func(s *aitbc.Statement) { s.Attempt++ })},
		{"says that it was stopped", rejected, nothing, blamed, rejectedBy(func(s *aitbc.Statement) { s.Stopped = true })},
		{"replays the result of another job", rejected, nothing, blamed, replays},
		{"hands in a job that it does not hold", "refused, LEASE_NOT_HELD; the job is not touched", nothing, "the refusal, in the log", steals},
		{"answers twice", "the second time gets the first acceptance again", "once", "one receipt", answersTwice},
		{"gives a huge result", rejected + " (over 1 MiB)", nothing, blamed, huge},
		{"streams without end", "text over 1 MiB is not kept; the result counts", "what the result is worth", "nothing", endless},
		{"answers a byte at a time", "the client's limit ends the job, its last word is metered by the coordinator's clock", "at most the limit; without one of the client's, nothing", "few tokens a second, which its reputation falls by", drips},
		{"takes a job and is silent", "the client's limit ends the job: it is told to stop, and has 5 s", nothing, "EXECUTION_LIMIT", silent},
		{"is silent after it was told to stop", "5 s later the job ends by its highest running statement", "what that says, up to the stop", "the receipt of a running statement, its result the text that it is about", silentAfterwards},
		{"signs a running statement for text that it did not send", "the attempt ends, the job goes to another miner, or fails", nothing, blamed, runsAhead},
	}
}

func silentAfterwards(e *evil) {
	began := time.Now()
	id, lease := e.lease(func(job map[string]any) { job["timeouts"] = map[string]any{"execution": "1s"} })
	s, err := e.miner.Statement(lease, "Machine ")
	require.NoError(e, err)
	s.ComputeUS = time.Hour.Microseconds()
	require.NoError(e, e.miner.Progress(lease.GetLeaseId(), "Machine ", s))
	job := awaitStatus(e.T, e.n, id, "cancelled")
	require.GreaterOrEqual(e, time.Since(began), 5*time.Second)
	require.Equal(e, "EXECUTION_LIMIT", failure(job))
	require.Equal(e, "Machine ", job.text("result"))
	cost := amount(e.T, job.text("cost"))
	require.Positive(e, cost)
	require.LessOrEqual(e, cost, aitbc.Price(time.Second, 20_000, aitbc.UnitsPerCoin))
	require.Equal(e, aitbc.ResultHash([]byte("Machine ")).String(), receiptOf(e.T, e.n, job).text("result_hash"))
	require.NoError(e, e.miner.State(evilModel))
}

func runsAhead(e *evil) {
	id, lease := e.lease(nil)
	s, err := e.miner.Statement(lease, "Machine learning")
	require.NoError(e, err)
	require.NoError(e, e.miner.Progress(lease.GetLeaseId(), "Machine ", s))
	_, refused, err := e.miner.Verdict(lease.GetLeaseId())
	require.NoError(e, err)
	require.Equal(e, "PROOF_REJECTED", refused)
	require.NoError(e, e.miner.State(evilModel))
	e.requireUnpaid(id, "PROOF_REJECTED")
}

func inflates(e *evil) {
	began := time.Now()
	id, lease := e.lease(nil)
	accepted, refused := e.verdict(e.result(lease, "answer", func(s *aitbc.Statement) { s.ComputeUS = time.Hour.Microseconds() }))
	took := time.Since(began)
	require.NotNil(e, accepted, refused)
	require.LessOrEqual(e, accepted.GetMeteredUs(), took.Microseconds())
	job := awaitStatus(e.T, e.n, id, "completed")
	require.LessOrEqual(e, amount(e.T, job.text("cost")), aitbc.Price(took, 20_000, aitbc.UnitsPerCoin))
}

func unsigned(e *evil) {
	id, lease := e.lease(nil)
	r := e.result(lease, "answer", nil)
	r.StatementSignature = make([]byte, 64)
	accepted, _ := e.verdict(r)
	require.Nil(e, accepted)
	e.requireUnpaid(id, "PROOF_REJECTED")
}

func replays(e *evil) {
	_, first := e.lease(nil)
	old := e.result(first, "answer", nil)
	accepted, refused := e.verdict(old)
	require.NotNil(e, accepted, refused)
	id, second := e.lease(nil)
	old.LeaseId = second.GetLeaseId()
	accepted, _ = e.verdict(old)
	require.Nil(e, accepted)
	e.requireUnpaid(id, "PROOF_REJECTED")
}

func steals(e *evil) {
	_, held := e.lease(nil)
	wanted := submit(e.T, e.n, seedJob()) // it waits: the one slot is taken
	stolen := e.result(held, "stolen", nil)
	stolen.LeaseId = "lease_" + strings.TrimPrefix(wanted, "job_") + "_1"
	require.NoError(e, e.miner.Tell(stolen))
	accepted, refused, err := e.miner.Verdict(stolen.GetLeaseId())
	require.NoError(e, err)
	require.Nil(e, accepted)
	require.Equal(e, "LEASE_NOT_HELD", refused)
	require.Equal(e, "pending", getJob(e.T, e.n, wanted).text("status"))
	accepted, refused = e.verdict(e.result(held, "answer", nil))
	require.NotNil(e, accepted, refused)
	lease, err := e.miner.Lease(evilModel)
	require.NoError(e, err)
	require.Equal(e, wanted, lease.GetJobId())
	accepted, refused = e.verdict(e.result(lease, "answer", nil))
	require.NotNil(e, accepted, refused)
	awaitStatus(e.T, e.n, wanted, "completed")
}

func answersTwice(e *evil) {
	id, lease := e.lease(nil)
	r := e.result(lease, "answer", nil)
	first, refused := e.verdict(r)
	require.NotNil(e, first, refused)
	awaitStatus(e.T, e.n, id, "completed")
	receipts := ledgerStatus(e.T, e.n).GetReceipts()
	second, refused := e.verdict(r)
	require.NotNil(e, second, refused)
	require.Equal(e, first.GetSignature(), second.GetSignature())
	require.Equal(e, receipts, ledgerStatus(e.T, e.n).GetReceipts())
}

// drips says little for long, and at the limit that it did much.
func drips(e *evil) {
	id, lease := e.lease(func(job map[string]any) { job["timeouts"] = map[string]any{"execution": "1s"} })
	stop := make(chan error, 1)
	go func() {
		_, _, err := e.miner.Verdict(lease.GetLeaseId()) // told to stop
		stop <- err
	}()
	said, drip := "", time.NewTicker(100*time.Millisecond)
	defer drip.Stop()
	for told := false; !told; {
		select {
		case err := <-stop:
			require.NoError(e, err)
			told = true
		case <-drip.C:
			chunk := &coordinatorv1.AttemptChunk{LeaseId: lease.GetLeaseId(), Offset: int64(len(said)), Text: "z"}
			require.NoError(e, e.miner.Send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptChunk{AttemptChunk: chunk}}))
			said += "z"
		}
	}
	accepted, refused := e.verdict(e.result(lease, said, func(s *aitbc.Statement) { s.Stopped, s.ComputeUS = true, time.Hour.Microseconds() }))
	require.NotNil(e, accepted, refused)
	job := awaitStatus(e.T, e.n, id, "cancelled")
	require.Equal(e, "EXECUTION_LIMIT", failure(job))
	require.Equal(e, said, job.text("result"))
	require.LessOrEqual(e, amount(e.T, job.text("cost")), aitbc.Price(time.Second, 20_000, aitbc.UnitsPerCoin))
}

// contradicts gives two answers for one lease, which is the end of a miner: half its stake is the client's.
func contradicts(e *evil, key ed25519.PrivateKey) {
	account := aitbc.AccountOf(key.Public().(ed25519.PublicKey)).String()
	before := minerOf(e.T, e.n, account)
	require.Positive(e, before.GetStakeUaitbc())
	id, lease := e.lease(nil)
	first, refused := e.verdict(e.result(lease, "yes", nil))
	require.NotNil(e, first, refused)
	second, refused := e.verdict(e.result(lease, "no", nil))
	require.Nil(e, second)
	require.Equal(e, "WRONG_STATE", refused)
	require.Equal(e, "yes", awaitStatus(e.T, e.n, id, "completed").text("result"))
	eventually(e.T, "the ledger to take the stake", func() bool { return minerOf(e.T, e.n, account).GetSlashedUs() != 0 })
	require.Zero(e, minerOf(e.T, e.n, account).GetStakeUaitbc())
	for err := error(nil); err == nil; { // its session ends
		_, err = e.miner.Next()
	}
	_, err := evilminer.Connect(e.Context(), e.n.CoordinatorGRPC, key, evilModel, nil)
	require.ErrorContains(e, err, "has a stake of 0aitbc")
	requireConserved(e.T, e.n)
}

func huge(e *evil) {
	id, lease := e.lease(nil)
	accepted, _ := e.verdict(e.result(lease, strings.Repeat("x", 1<<20+1), nil))
	require.Nil(e, accepted)
	e.requireUnpaid(id, "PROOF_REJECTED")
}

func endless(e *evil) {
	id, lease := e.lease(nil)
	piece := strings.Repeat("y", 64<<10)
	for i := range int64(48) { // 3 MiB
		chunk := &coordinatorv1.AttemptChunk{LeaseId: lease.GetLeaseId(), Offset: i << 16, Text: piece}
		require.NoError(e, e.miner.Send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptChunk{AttemptChunk: chunk}}))
	}
	accepted, refused := e.verdict(e.result(lease, "short", nil))
	require.NotNil(e, accepted, refused)
	require.Equal(e, "short", awaitStatus(e.T, e.n, id, "completed").text("result"))
}

func silent(e *evil) {
	id, _ := e.lease(func(job map[string]any) { job["timeouts"] = map[string]any{"execution": "1s"} })
	job := awaitStatus(e.T, e.n, id, "cancelled")
	require.Equal(e, "EXECUTION_LIMIT", failure(job))
	require.Equal(e, "0aitbc", job.text("cost"))
	require.NoError(e, e.miner.State(evilModel))
}

// TestBadMiners has one miner do everything that it should not, one after the other; after each deed an
// honest job must go through, and no unit may be lost.
func TestBadMiners(t *testing.T) {
	t.Parallel()
	n := start(t, "http://127.0.0.1:1", "--miner=false") // no engine is needed: nothing that it says was made by one
	key, err := aitbc.LoadKey(filepath.Join(filepath.Dir(n.LogFile()), "keys", "miner.key"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	m, err := evilminer.Connect(ctx, n.CoordinatorGRPC, key, evilModel, nil)
	require.NoError(t, err)
	defer m.Close()
	for _, d := range deeds() {
		if !t.Run(d.name, func(t *testing.T) {
			e := &evil{T: t, n: n, miner: m}
			d.do(e)
			e.honest()
			requireConserved(t, n)
		}) {
			return // the session is in an unknown state
		}
	}
	t.Run("relays a challenge", func(t *testing.T) {
		_, err := evilminer.Connect(ctx, n.CoordinatorGRPC, key, evilModel, func(c *aitbc.SessionChallenge) { c.ChannelBinding = []byte("another channel") })
		require.ErrorContains(t, err, "Unauthenticated")
		_, err = evilminer.Connect(ctx, n.CoordinatorGRPC, key, evilModel, func(c *aitbc.SessionChallenge) { c.Operator[0] ^= 1 })
		require.Error(t, err)
		(&evil{T: t, n: n, miner: m}).honest()
	})
	t.Run("connects 1,000 times", func(t *testing.T) {
		(&evil{T: t, n: n, miner: connectOften(ctx, t, n, key)}).honest()
		requireConserved(t, n)
	})
	t.Run("gives two answers for one lease", func(t *testing.T) {
		var m *evilminer.Miner
		eventually(t, "the coordinator's door to be free again", func() (open bool) {
			m, err = evilminer.Connect(ctx, n.CoordinatorGRPC, key, evilModel, nil)
			return err == nil
		})
		defer m.Close()
		contradicts(&evil{T: t, n: n, miner: m}, key)
	})
}

// minerOf reads a miner from the ledger.
func minerOf(t *testing.T, n *network.Network, account string) *ledgerv1.LedgerMiner {
	t.Helper()
	answer, err := ledgerOf(t, n).GetMiner(t.Context(), &ledgerv1.GetMinerRequest{MinerId: account})
	require.NoError(t, err)
	return answer.GetMiner()
}

// connectOften opens 1,000 sessions of one miner, each of which replaces the one before and stays open, and
// gives the last; then 1,000 streams that never prove a key. The session must not suffer from either.
func connectOften(ctx context.Context, t *testing.T, n *network.Network, key ed25519.PrivateKey) *evilminer.Miner {
	t.Helper()
	connect := func() (*evilminer.Miner, error) {
		m, err := evilminer.Connect(ctx, n.CoordinatorGRPC, key, evilModel, nil)
		if err == nil {
			t.Cleanup(func() { _ = m.Close() })
		}
		return m, err
	}
	var others errgroup.Group
	others.SetLimit(16)
	for range 999 {
		others.Go(func() error {
			_, err := connect()
			return err
		})
	}
	require.NoError(t, others.Wait())
	last, err := connect()
	require.NoError(t, err)
	admitted := 0
	for i := range 1000 {
		if i%100 == 0 {
			require.NoError(t, last.State(evilModel)) // on a busy machine this takes longer than it may be silent
		}
		m, err := evilminer.Knock(ctx, n.CoordinatorGRPC, key)
		if err != nil {
			require.ErrorContains(t, err, "too many miners are proving their keys at once")
			continue
		}
		t.Cleanup(func() { _ = m.Close() })
		admitted++
	}
	t.Logf("%d of 1,000 that prove nothing were heard", admitted)
	return last
}

// TestBadMinersPageIsFresh writes the page anew when AITBC_UPDATE_DOCS is set.
func TestBadMinersPageIsFresh(t *testing.T) {
	const path = "../../docs/bad-miners.md"
	var page strings.Builder
	page.WriteString("# Bad miners\n\nWhat the network does about a registered, staked miner that misbehaves. Each row is a test on a real network (`TestBadMiners` in `tools/e2e`, by\n" +
		"`tools/evilminer`), which also requires that an honest job goes through afterwards and that no unit was lost. Generated by\n`AITBC_UPDATE_DOCS=1 go test ./tools/e2e -run TestBadMinersPage`.\n\n" +
		"| the miner | what happens | what it is paid | what is recorded |\n|---|---|---|---|\n")
	for _, d := range deeds() {
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", d.name, d.happens, d.pays, d.records)
	}
	page.WriteString("| connects 1,000 times, and 1,000 times more without proving a key | each session ends the one before; of those that prove nothing 256 are heard at once from one address, the others are refused, OVERLOADED | nothing | a line for each session, in the log |\n")
	page.WriteString("| gives two answers for one lease | the second is refused, WRONG_STATE; the coordinator hands both statements to the ledger, and the miner's session ends | the first, and its stake is gone: half burned, half the client's | one receipt; the miner is slashed for ever |\n")
	page.WriteString("| relays a challenge, of another channel or operator | the session is refused, INVALID_KEY | nothing | the refusal, in the log |\n")
	if os.Getenv("AITBC_UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(path, []byte(page.String()), 0o644))
	}
	committed, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(committed), page.String(), "run AITBC_UPDATE_DOCS=1 go test ./tools/e2e -run TestBadMinersPage")
}
