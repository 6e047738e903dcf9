package app_test

import (
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

const proofMethod = ledgerv1.LedgerService_GetReceiptProof_FullMethodName

func (l *ledger) proof(o aitbc.Order, height int64) *ledgerv1.ReceiptProof {
	l.t.Helper()
	request := &ledgerv1.GetReceiptProofRequest{JobId: o.JobID.String(), OperatorId: o.Operator.String(), Height: height}
	return query(l, proofMethod, request, &ledgerv1.GetReceiptProofResponse{}).GetProof()
}

// The header at a height has the app hash of the block before.
func requireAppHash(t *testing.T, want []byte, p *ledgerv1.ReceiptProof) {
	t.Helper()
	roots := aitbc.StateRoots{
		Entries: aitbc.Hash(p.GetEntriesRoot()), LogSize: p.GetLogSize(), LogRoot: aitbc.Hash(p.GetLogRoot()),
	}
	hash := roots.AppHash()
	require.Equal(t, want, hash[:])
}

func TestProofsLeadToTheAppHashOfTheHeaderAskedFor(t *testing.T) {
	t.Parallel()
	blocks, paid, refunded := story(t)
	d := disk{t.TempDir()}
	l := d.open(t)
	l.genesis()
	var hashes [][]byte
	for i, txs := range blocks {
		hashes = append(hashes, l.execute(int64(i+1), txs...).AppHash)
		l.commit()
	}
	for height := int64(4); height <= 6; height++ {
		requireAppHash(t, hashes[height-2], l.proof(paid, height))
	}
	require.True(t, proto.Equal(l.proof(paid, 6), l.proof(paid, 0)), "the latest")

	for name, c := range map[string]struct {
		job    aitbc.Order
		height int64
		hash   []byte
		want   codes.Code
	}{
		"a header before the receipt":      {paid, 3, nil, codes.FailedPrecondition},
		"a header that is not there":       {paid, 7, nil, codes.FailedPrecondition},
		"a block by its hash":              {paid, 0, make([]byte, 32), codes.InvalidArgument},
		"a job that has no receipt":        {refunded, 0, nil, codes.NotFound},
		"a job of which nothing was heard": {aitbc.Order{Operator: paid.Operator}, 0, nil, codes.NotFound},
	} {
		data, err := proto.Marshal(&ledgerv1.GetReceiptProofRequest{
			JobId: c.job.JobID.String(), OperatorId: c.job.Operator.String(), Height: c.height, BlockHash: c.hash,
		})
		require.NoError(t, err)
		answer, err := l.Query(t.Context(), &abci.RequestQuery{Path: proofMethod, Data: data})
		require.NoError(t, err)
		require.Equal(t, uint32(c.want), answer.Code, "%s: %s", name, answer.Log)
	}

	// A history that was lost begins again with the state, and says so of what came before.
	l.close()
	lost := disk{t.TempDir()}
	again := d.openWith(t, lost)
	defer again.close()
	again.execute(7)
	again.commit()
	data, err := proto.Marshal(&ledgerv1.GetReceiptProofRequest{JobId: paid.JobID.String(), OperatorId: paid.Operator.String()})
	require.NoError(t, err)
	answer, err := again.Query(t.Context(), &abci.RequestQuery{Path: proofMethod, Data: data})
	require.NoError(t, err)
	require.Equal(t, uint32(codes.NotFound), answer.Code, answer.Log)
}

func TestAReceiptOfTheLastBlockIsYetToBeProven(t *testing.T) {
	t.Parallel()
	blocks, paid, _ := story(t)
	l := disk{t.TempDir()}.open(t)
	defer l.close()
	l.genesis()
	for i, txs := range blocks[:3] {
		l.execute(int64(i+1), txs...)
		l.commit()
	}
	data, err := proto.Marshal(&ledgerv1.GetReceiptProofRequest{JobId: paid.JobID.String(), OperatorId: paid.Operator.String()})
	require.NoError(t, err)
	answer, err := l.Query(t.Context(), &abci.RequestQuery{Path: proofMethod, Data: data})
	require.NoError(t, err)
	require.Equal(t, uint32(codes.Unavailable), answer.Code, "it is worth asking again")
}
