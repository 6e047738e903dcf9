package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// TestRecordWhatNobodyCanKeep records what docs/recordings/escrow.txt shows: a client signs its orders
// itself; then the ledger is away while two answers are accepted, and the coordinator is killed for good
// before it could settle them. The operator's owner even asks for one of the escrows back. The miner's daemon
// pays itself for both, and the third escrow, of a job that nobody answered, returns at its deadline.
func TestRecordWhatNobodyCanKeep(t *testing.T) {
	t.Parallel()
	const funds, price = 5_000_000, 500_000
	r := newRecording(t, "escrow", "TestRecordWhatNobodyCanKeep")
	dir, nodes := newNetwork(t, 1)
	v := nodes[0]
	v.start()
	awaitBlocks(t, nodes, 1)
	for name, value := range map[string]string{"min_grace_us": "1000000", "refund_window_us": "60000000"} {
		runServer(t, "ledger", "param", name, value, "--state", dir, "--ledger", v.grpcAddr)
	}
	s, daemon := startClaimingSite(t, dir, v)
	engine := s.engine
	miner, operator := loadParty(t, filepath.Join(s.keys, "miner.key")), loadParty(t, filepath.Join(s.keys, "operator.key"))
	owner := loadParty(t, filepath.Join(t.TempDir(), "client.key"))
	pay(t, dir, v, owner.id, funds)
	sdk, err := aitbc.New(s.grpc, aitbc.WithAPIKey(s.keyFor(t, owner.id)), aitbc.WithOrderKey(owner.key))
	require.NoError(t, err)
	defer func() { require.NoError(t, sdk.Close()) }()
	eventually(t, "the miner to be there", func() bool {
		models, err := sdk.Models(t.Context())
		return err == nil && len(models) > 0
	})
	earned := v.balance(miner.id)
	r.note(fmt.Sprintf("the client has %s, and has granted the operator nothing", v.balance(owner.id)))

	release := make(chan struct{})
	engine.set(answersTwo(engine, release))
	submit := func(what string, life time.Duration, total time.Duration) aitbc.JobID {
		submitted, err := sdk.Submit(t.Context(), aitbc.SubmitRequest{
			Prompt: question, Model: "tiny", MaxPrice: price, OrderLife: life, SettleWithin: 2 * time.Second,
			Timeouts: aitbc.Timeouts{Queue: total, Execution: min(total, 20*time.Second), Total: total},
		})
		require.NoError(t, err)
		r.note(fmt.Sprintf("%s: the SDK signed an order of at most %s; submitted as %s", what, aitbc.Amount(price), submitted.JobID))
		return submitted.JobID
	}
	first := submit("first", 5*time.Minute, 5*time.Minute)
	second := submit("second", 5*time.Minute, 5*time.Minute)
	eventually(t, "the miner at work on both", func() bool { return engine.generations.Load() == 2 })
	third := submit("third, with a deadline soon", 20*time.Second, 10*time.Second)
	eventually(t, "the escrows", func() bool { return v.balance(owner.id) == funds-3*price })
	r.note(fmt.Sprintf("all three are in escrow: the client has %s", v.balance(owner.id)))

	v.kill()
	r.note("kill -9 of the ledger's one node; the miner answers the first two")
	close(release)
	accepted := filepath.Join(filepath.Dir(daemon.logFile), "miner", "spool", "accepted")
	eventually(t, "the miner to hold two acceptances", func() bool {
		files, err := os.ReadDir(accepted)
		return err == nil && len(files) == 2
	})
	for _, id := range []aitbc.JobID{first, second} {
		job, err := sdk.Get(t.Context(), id)
		require.NoError(t, err)
		require.Contains(t, job.Result, answer)
		r.note(fmt.Sprintf("%s: %s, phase %s, its result can be read, billed %s", id, job.Status, job.Phase, job.Billed))
	}
	s.signal(t, syscall.SIGKILL)
	r.note("kill -9 of the coordinator, for good; the ledger goes on")
	v.start()
	operator.send(t, v.node, &ledgerv1.Message{Message: &ledgerv1.Message_RefundJob{RefundJob: &ledgerv1.RefundJob{JobId: second[:]}}})
	r.note("the operator's owner asks the ledger to return the second escrow: it waits out the refund window of 60 s")

	paid := awaitWhatIsTheirs(t, r, v, operator.id, first, second, third)
	require.Equal(t, earned+paid, v.balance(miner.id))
	require.Equal(t, funds-paid, v.balance(owner.id))
	r.note(fmt.Sprintf("the client has %s, the miner got %s", v.balance(owner.id), paid))
	r.save()
}

// answersTwo is an engine that answers its first two generations once they are released, and no other: the
// miner may get the third job before the coordinator is gone.
func answersTwo(engine *faultyEngine, release <-chan struct{}) fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if engine.generations.Load() > 2 {
			hangs(w, r, next)
			return
		}
		select {
		case <-release:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// startClaimingSite starts a coordinator and a miner that asks the ledger itself whether it is paid.
func startClaimingSite(t *testing.T, dir string, v *validator) (*site, *daemon) {
	t.Helper()
	keys := filepath.Join(dir, "keys")
	s := &site{keys: keys, engine: newFaultyEngine(t), ledger: []string{"--ledger-url", "http://" + v.rpcAddr, "--operator-key", filepath.Join(keys, "operator.key")}}
	s.replica = startCoordinator(t, append(s.ledger, "--queue-timeout", "10m", "--execution-limit", "10m", "--total-timeout", "20m")...)
	miner := startDaemon(t, "miner", "--key-file", filepath.Join(keys, "miner.key"), "--coordinators", s.grpc, "--ollama-url", s.engine.URL,
		"--listen", "127.0.0.1:0", "--slots", "2", "--ledger", v.grpcAddr)
	return s, miner
}

// awaitWhatIsTheirs waits until the ledger has settled all three jobs, and gives what the miner was paid.
func awaitWhatIsTheirs(t *testing.T, r *recording, v *validator, operator aitbc.AccountID, first, second, third aitbc.JobID) aitbc.Amount {
	t.Helper()
	settlement := func(id aitbc.JobID) *ledgerv1.Settlement {
		job, err := v.node.GetJob(t.Context(), &ledgerv1.GetJobRequest{JobId: id.String(), OperatorId: operator.String()})
		require.NoError(t, err)
		return job.GetSettlement()
	}
	for _, step := range []struct {
		id   aitbc.JobID
		what string
		want ledgerv1.Settlement_Outcome
	}{
		{second, "the second, inside the window, by the miner's own receipt", ledgerv1.Settlement_OUTCOME_PAID},
		{first, "the first, 10 s after its acceptance, by the miner's own receipt", ledgerv1.Settlement_OUTCOME_PAID},
		{third, "the third, at its deadline, by the ledger", ledgerv1.Settlement_OUTCOME_EXPIRED},
	} {
		eventually(t, step.what, func() bool { return settlement(step.id) != nil })
		got := settlement(step.id)
		require.Equal(t, step.want, got.GetOutcome())
		r.note(fmt.Sprintf("%s: paid %s, returned %s", step.what, aitbc.Amount(got.GetPaidUaitbc()), aitbc.Amount(got.GetRefundedUaitbc())))
	}
	paid := aitbc.Amount(settlement(first).GetPaidUaitbc() + settlement(second).GetPaidUaitbc())
	require.Positive(t, paid)
	return paid
}
