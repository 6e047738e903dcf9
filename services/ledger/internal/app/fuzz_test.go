package app_test

import (
	"testing"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/app"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
)

// FuzzQuery asks any method with any bytes: an answer or a code, never an error of the node.
func FuzzQuery(f *testing.F) {
	l := openOn(f, dbm.NewMemDB(), dbm.NewMemDB())
	blocks, paid, _ := story(f)
	require.True(f, l.run(blocks, map[int64]outcome{}))
	job, operator, client := paid.JobID.String(), paid.Operator.String(), paid.Client.String()
	seeds := map[string]proto.Message{
		ledgerv1.LedgerService_GetStatus_FullMethodName:            &ledgerv1.GetStatusRequest{},
		ledgerv1.LedgerService_GetAccount_FullMethodName:           &ledgerv1.GetAccountRequest{AccountId: client},
		ledgerv1.LedgerService_GetAllowance_FullMethodName:         &ledgerv1.GetAllowanceRequest{ClientId: client, OperatorId: operator},
		ledgerv1.LedgerService_ListStatementEntries_FullMethodName: &ledgerv1.ListStatementEntriesRequest{AccountId: client, PageSize: 1},
		ledgerv1.LedgerService_GetMiner_FullMethodName:             &ledgerv1.GetMinerRequest{MinerId: ledgertest.ID("miner").String()},
		ledgerv1.LedgerService_ListMiners_FullMethodName:           &ledgerv1.ListMinersRequest{PageSize: 1},
		ledgerv1.LedgerService_GetOperator_FullMethodName:          &ledgerv1.GetOperatorRequest{OperatorId: operator},
		ledgerv1.LedgerService_GetJob_FullMethodName:               &ledgerv1.GetJobRequest{JobId: job, OperatorId: operator},
		ledgerv1.LedgerService_GetTransaction_FullMethodName:       &ledgerv1.GetTransactionRequest{TxHash: make([]byte, 32)},
		ledgerv1.LedgerService_GetReceiptProof_FullMethodName:      &ledgerv1.GetReceiptProofRequest{JobId: job, OperatorId: operator},
	}
	for path, request := range seeds {
		data, err := proto.Marshal(request)
		require.NoError(f, err)
		f.Add(path, data)
	}
	f.Fuzz(func(t *testing.T, path string, data []byte) {
		_, err := l.Query(t.Context(), &abci.RequestQuery{Path: path, Data: data})
		require.NoError(t, err)
	})
}

// FuzzGenesis reads any bytes as the app_state of a genesis document.
func FuzzGenesis(f *testing.F) {
	f.Add([]byte(`{"params":{"default_price_uaitbc":1,"max_price_uaitbc":2},"accounts":[{"id":"aitbc1","balance_uaitbc":5}],"miners":[{"id":"x","stake_uaitbc":-1}]}`))
	f.Add(genesisDocument(f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		l := openOn(t, dbm.NewMemDB(), dbm.NewMemDB())
		if _, err := app.ParseGenesis(raw); err != nil {
			return
		}
		_, err := l.InitChain(t.Context(), &abci.RequestInitChain{ChainId: ledgertest.ChainID, Time: blockTime(0), AppStateBytes: raw})
		if err == nil {
			require.Equal(t, l.State().Info().Supply, l.State().Supply().Total())
		}
	})
}

// FuzzOffer offers any snapshot and gives any bytes for its parts.
func FuzzOffer(f *testing.F) {
	from := openOn(f, dbm.NewMemDB(), dbm.NewMemDB())
	blocks, _, _ := story(f)
	require.True(f, from.run(blocks, map[int64]outcome{}))
	list, err := from.ListSnapshots(f.Context(), &abci.RequestListSnapshots{})
	require.NoError(f, err)
	newest := list.Snapshots[len(list.Snapshots)-1]
	part, err := from.LoadSnapshotChunk(f.Context(), &abci.RequestLoadSnapshotChunk{Height: newest.Height, Format: newest.Format})
	require.NoError(f, err)
	hash := from.State().AppHash()
	f.Add(newest.Height, newest.Format, newest.Chunks, newest.Hash, newest.Metadata, part.Chunk)
	f.Fuzz(func(t *testing.T, height uint64, format, chunks uint32, digest, metadata, part []byte) {
		to := openOn(t, dbm.NewMemDB(), dbm.NewMemDB())
		offer := &abci.Snapshot{Height: height, Format: format, Chunks: chunks, Hash: digest, Metadata: metadata}
		answer, err := to.OfferSnapshot(t.Context(), &abci.RequestOfferSnapshot{Snapshot: offer, AppHash: hash[:]})
		require.NoError(t, err)
		if answer.Result != abci.ResponseOfferSnapshot_ACCEPT {
			return
		}
		applied, err := to.ApplySnapshotChunk(t.Context(), &abci.RequestApplySnapshotChunk{Chunk: part, Sender: "s"})
		require.NoError(t, err)
		if chunks == 1 && applied.Result == abci.ResponseApplySnapshotChunk_ACCEPT {
			require.Equal(t, hash, to.State().AppHash(), "only the state of the trusted hash is taken up")
		}
	})
}
