package e2e

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/tools/devnet/network"
)

// ledgerOf connects to the network's LedgerService.
func ledgerOf(t *testing.T, n *network.Network) ledgerv1.LedgerServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(n.LedgerGRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return ledgerv1.NewLedgerServiceClient(conn)
}

func ledgerStatus(t *testing.T, n *network.Network) *ledgerv1.GetStatusResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	status, err := ledgerOf(t, n).GetStatus(ctx, &ledgerv1.GetStatusRequest{})
	require.NoError(t, err)
	return status
}

// balanceOf reads an account's free tokens from the ledger itself.
func balanceOf(t *testing.T, n *network.Network, account string) aitbc.Amount {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	response, err := ledgerOf(t, n).GetAccount(ctx, &ledgerv1.GetAccountRequest{AccountId: account})
	require.NoError(t, err)
	return aitbc.Amount(response.GetAccount().GetBalanceUaitbc())
}

// clientAccount is the account of the dev client key.
func clientAccount(t *testing.T, n *network.Network) string {
	t.Helper()
	return call(t, n, "GET", "/v1/account", nil, asClient()...).text("account_id")
}

// requireConserved checks that every unit is somewhere.
func requireConserved(t *testing.T, n *network.Network) {
	t.Helper()
	s := ledgerStatus(t, n).GetSupply()
	require.Equal(t, s.GetTotalUaitbc(),
		s.GetBalancesUaitbc()+s.GetEscrowedUaitbc()+s.GetStakedUaitbc()+s.GetUnbondingUaitbc()+s.GetBurnedUaitbc(), "%v", s)
}

// requireRefunded waits until the whole escrow is back in the client's account.
func requireRefunded(t *testing.T, n *network.Network, account string, before aitbc.Amount) {
	t.Helper()
	eventually(t, "the escrow to be back", func() bool { return balanceOf(t, n, account) == before })
	requireConserved(t, n)
}

func amount(t *testing.T, text string) aitbc.Amount {
	t.Helper()
	a, err := aitbc.ParseAmount(text)
	require.NoError(t, err)
	return a
}

// receiptOf reads the receipt of a job that has one.
func receiptOf(t *testing.T, n *network.Network, job answerOf) answerOf {
	t.Helper()
	receipt := call(t, n, http.MethodGet, "/v1/receipts/"+job.text("receipt_id"), nil, asClient()...)
	require.Equal(t, http.StatusOK, receipt.Status, "%v", receipt.Body)
	return receipt
}
