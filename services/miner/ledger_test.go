package miner_test

import (
	"context"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/miner"
	"github.com/aitbc/aitbc/services/miner/internal/executor/ollamafake"
)

// node is a node of a ledger where the miner is registered.
type node struct {
	ledgerv1.UnimplementedLedgerServiceServer
}

func (node) GetStatus(context.Context, *ledgerv1.GetStatusRequest) (*ledgerv1.GetStatusResponse, error) {
	return &ledgerv1.GetStatusResponse{ChainId: "behind-tls", Params: &ledgerv1.Params{MinStakeUaitbc: 5}}, nil
}

func (node) GetMiner(context.Context, *ledgerv1.GetMinerRequest) (*ledgerv1.GetMinerResponse, error) {
	return &ledgerv1.GetMinerResponse{Miner: &ledgerv1.LedgerMiner{StakeUaitbc: 5}}, nil
}

func (node) GetAccount(context.Context, *ledgerv1.GetAccountRequest) (*ledgerv1.GetAccountResponse, error) {
	return &ledgerv1.GetAccountResponse{Account: &ledgerv1.LedgerAccount{BalanceUaitbc: 7}}, nil
}

func TestALedgerBehindTLSIsTrustedByTheOwnersAuthorities(t *testing.T) {
	server := grpc.NewServer()
	ledgerv1.RegisterLedgerServiceServer(server, node{})
	web := httptest.NewUnstartedServer(server)
	web.EnableHTTP2 = true
	web.StartTLS()
	t.Cleanup(web.Close)
	authorities := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	require.NoError(t, os.WriteFile(authorities, block, 0o600))

	cfg := miner.DefaultConfig()
	cfg.StateDir, cfg.EngineURL = t.TempDir(), ollamafake.Start(t).URL().String()
	cfg.Coordinators = []string{"127.0.0.1:1"}
	cfg.Ledger = "grpcs://" + strings.TrimPrefix(web.URL, "https://")
	look := func() miner.Check {
		for _, c := range miner.Diagnose(t.Context(), cfg) {
			if c.Name == "ledger" {
				return c
			}
		}
		t.Fatal("the ledger was not looked at")
		return miner.Check{}
	}
	require.Contains(t, look().Detail, "certificate", "of an authority that the system does not know")
	cfg.TLSCA = authorities
	require.True(t, look().OK, look().Detail)
	require.Contains(t, look().Detail, "registered at behind-tls")
	cfg.Ledger = "grpc://" + strings.TrimPrefix(web.URL, "https://")
	require.False(t, look().OK, "plaintext, to a port that wants TLS")
}
