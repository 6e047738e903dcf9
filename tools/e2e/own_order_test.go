package e2e

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// party is an account whose key is in a file.
type party struct {
	file string
	key  ed25519.PrivateKey
	id   aitbc.AccountID
}

func loadParty(t *testing.T, file string) party {
	t.Helper()
	key, err := aitbc.LoadOrCreateKey(file)
	require.NoError(t, err)
	return party{file: file, key: key, id: aitbc.AccountOf(key.Public().(ed25519.PublicKey))}
}

// send sends messages of the party to a node; each must be applied.
func (p party) send(t *testing.T, node ledgerv1.LedgerServiceClient, messages ...*ledgerv1.Message) {
	t.Helper()
	answer, err := aitbc.NewWallet(node, p.id, p.key).Send(t.Context(), messages...)
	require.NoError(t, err)
	for _, r := range answer.GetResults() {
		require.Zero(t, r.GetCode(), r.GetDetail())
	}
}

// TestAClientThatSignsItsOrdersNeedsNoAllowance lets a client that the operator has no power over pay
// for jobs, by SDK and command line.
func TestAClientThatSignsItsOrdersNeedsNoAllowance(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	state := filepath.Dir(n.LogFile())
	client := loadParty(t, filepath.Join(t.TempDir(), "client.key"))
	faucet := loadParty(t, filepath.Join(state, "keys", "faucet.key"))
	faucet.send(t, ledgerOf(t, n), transferOf(client.id, 20_000_000))
	apiKey := createKeyFor(t, n, client.id)

	sdk, err := aitbc.New(n.CoordinatorGRPC, aitbc.WithAPIKey(apiKey), aitbc.WithOrderKey(client.key))
	require.NoError(t, err)
	defer func() { require.NoError(t, sdk.Close()) }()
	job, err := sdk.Run(t.Context(), aitbc.SubmitRequest{Prompt: question, Model: "tiny"})
	require.NoError(t, err)
	require.Contains(t, job.Result, answer)
	require.Equal(t, aitbc.Amount(20_000_000)-job.Cost, balanceOf(t, n, client.id.String()))
	receipt, err := sdk.Receipt(t.Context(), job.ID)
	require.NoError(t, err)
	require.NotEmpty(t, receipt.Evidence.OrderSignature, "the receipt shows the client's own signature")
	require.NoError(t, aitbc.VerifyReceipt(receipt, []byte(job.Result)))

	// Without a signature there is neither consent nor allowance.
	bare, err := aitbc.New(n.CoordinatorGRPC, aitbc.WithAPIKey(apiKey))
	require.NoError(t, err)
	defer func() { require.NoError(t, bare.Close()) }()
	_, err = bare.Submit(t.Context(), aitbc.SubmitRequest{Prompt: question, Model: "tiny"})
	require.ErrorContains(t, err, "allowance")

	out := execute(t, []string{"AITBC_URL=http://" + n.CoordinatorREST, "AITBC_API_KEY=" + apiKey}, filepath.Join(programs, "aitbc"),
		"run", "--prompt", question, "--model", "tiny", "--key-file", client.file, "--max-price", "0.5aitbc")
	require.Zero(t, out.Code, out.Stderr)
	require.Contains(t, out.Stdout, answer)
	require.NoError(t, os.Chmod(client.file, 0o644))
	out = execute(t, []string{"AITBC_URL=http://" + n.CoordinatorREST, "AITBC_API_KEY=" + apiKey}, filepath.Join(programs, "aitbc"),
		"run", "--prompt", question, "--model", "tiny", "--key-file", client.file)
	require.NotZero(t, out.Code)
	require.Contains(t, out.Stderr, "may be read by others")
	requireConserved(t, n)
}

func transferOf(to aitbc.AccountID, amount int64) *ledgerv1.Message {
	return &ledgerv1.Message{Message: &ledgerv1.Message_Transfer{Transfer: &ledgerv1.Transfer{To: to[:], AmountUaitbc: amount}}}
}

// TestWithTheCoordinatorGoneForGoodEverybodyGetsWhatIsTheirs plays the operator by hand on a real
// ledger, then lets it be gone: the miner's daemon claims what was accepted, within a refund window
// at once, and the client's other escrow returns at its deadline.
func TestWithTheCoordinatorGoneForGoodEverybodyGetsWhatIsTheirs(t *testing.T) {
	t.Parallel()
	dir, nodes := newNetwork(t, 1)
	v := nodes[0]
	v.start()
	awaitBlocks(t, nodes, 1)
	keys := filepath.Join(dir, "keys")
	client, operator, miner := loadParty(t, filepath.Join(keys, "client.key")), loadParty(t, filepath.Join(keys, "operator.key")), loadParty(t, filepath.Join(keys, "miner.key"))
	for name, value := range map[string]string{"min_grace_us": "1000000", "refund_window_us": "60000000"} {
		runServer(t, "ledger", "param", name, value, "--state", dir, "--ledger", v.grpcAddr)
	}
	status, err := v.node.GetStatus(t.Context(), &ledgerv1.GetStatusRequest{})
	require.NoError(t, err)
	before := v.balance(client.id)

	var escrows []*ledgerv1.Message
	orders := make([]aitbc.Order, 3)
	for i := range orders {
		orders[i] = orderOf(t, status, client.id, operator.id, 10*time.Minute)
	}
	orders[2].SettleByUS = status.GetLedgerTimeUs() + (8 * time.Second).Microseconds()
	for _, o := range orders {
		escrows = append(escrows, submitOf(o, aitbc.Sign(client.key, o.SigningBytes())))
	}
	operator.send(t, v.node, escrows...)
	require.Equal(t, before-3*orders[0].MaxPrice, v.balance(client.id))
	operator.send(t, v.node, &ledgerv1.Message{Message: &ledgerv1.Message_RefundJob{RefundJob: &ledgerv1.RefundJob{JobId: orders[1].JobID[:]}}})

	state := filepath.Join(t.TempDir(), "miner")
	for _, o := range orders[:2] {
		acceptedRecord(t, state, o, operator.key, miner)
	}
	startLoneMiner(t, state, miner.file, v.grpcAddr)

	eventually(t, "the miner to be paid for both, and the third escrow to be back", func() bool {
		return v.balance(miner.id) == 2*250_000 && v.balance(client.id) == before-2*250_000
	})
	for i, want := range []ledgerv1.Settlement_Outcome{ledgerv1.Settlement_OUTCOME_PAID, ledgerv1.Settlement_OUTCOME_PAID, ledgerv1.Settlement_OUTCOME_EXPIRED} {
		job, err := v.node.GetJob(t.Context(), &ledgerv1.GetJobRequest{JobId: orders[i].JobID.String(), OperatorId: operator.id.String()})
		require.NoError(t, err)
		require.Equal(t, want, job.GetSettlement().GetOutcome())
	}
}

func (v *validator) balance(id aitbc.AccountID) aitbc.Amount {
	account, err := v.node.GetAccount(v.t.Context(), &ledgerv1.GetAccountRequest{AccountId: id.String()})
	require.NoError(v.t, err)
	return aitbc.Amount(account.GetAccount().GetBalanceUaitbc())
}
