package e2e

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// TestAnAccountGetsAnotherKey rotates a client's key by the command line: orders and allowances go on with
// the new one alone, and the receipts from before and after check.
func TestAnAccountGetsAnotherKey(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	folder := t.TempDir()
	client := loadParty(t, filepath.Join(folder, "client.key"))
	next := loadParty(t, filepath.Join(folder, "next.key"))
	faucet := loadParty(t, filepath.Join(filepath.Dir(n.LogFile()), "keys", "faucet.key"))
	faucet.send(t, ledgerOf(t, n), transferOf(client.id, 20_000_000))
	apiKey := createKeyFor(t, n, client.id)
	runWith := func(key party) (*aitbc.Job, error) {
		sdk, err := aitbc.New(n.CoordinatorGRPC, aitbc.WithAPIKey(apiKey), aitbc.WithOrderKey(key.key))
		require.NoError(t, err)
		defer func() { require.NoError(t, sdk.Close()) }()
		return sdk.Run(t.Context(), aitbc.SubmitRequest{Prompt: question, Model: "tiny"})
	}
	command := func(args ...string) output {
		environment := []string{"AITBC_URL=http://" + n.CoordinatorREST, "AITBC_API_KEY=" + apiKey, "AITBC_LEDGER=" + n.LedgerGRPC}
		return execute(t, environment, filepath.Join(programs, "aitbc"), args...)
	}
	requireReceipt := func(job *aitbc.Job) *aitbc.Receipt {
		reader, err := aitbc.New(n.CoordinatorGRPC, aitbc.WithAPIKey(apiKey))
		require.NoError(t, err)
		defer func() { require.NoError(t, reader.Close()) }()
		receipt, err := reader.Receipt(t.Context(), job.ID)
		require.NoError(t, err)
		require.NoError(t, aitbc.VerifyReceipt(receipt, []byte(job.Result)))
		return receipt
	}
	before, err := runWith(client)
	require.NoError(t, err)
	_, err = runWith(next)
	require.ErrorContains(t, err, "is not the account's signature of the order")

	for range 2 { // the second time there is nothing left to do
		out := command("account", "rotate", next.file, "--key-file", client.file)
		require.Zero(t, out.Code, out.Stderr)
		require.Contains(t, out.Stdout, "Account: "+client.id.String()+"\nKey file: "+next.file)
	}
	after, err := runWith(next)
	require.NoError(t, err)
	_, err = runWith(client)
	require.ErrorContains(t, err, "is not the account's signature of the order")
	out := command("account", "allowance", "set", "1aitbc", "--key-file", client.file)
	require.Equal(t, 2, out.Code, out.Stderr)
	out = command("account", "allowance", "set", "1aitbc", "--key-file", next.file)
	require.Zero(t, out.Code, out.Stderr)
	require.Contains(t, out.Stdout, "Allowance: 1 AITBC")

	require.NotEmpty(t, requireReceipt(before).Evidence.OrderSignature, "by the key that made the address")
	require.Empty(t, requireReceipt(after).Evidence.OrderSignature, "no file can show whose a later key is")
}
