package verify_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aitbc/aitbc/clients/go/verify"
	"github.com/aitbc/aitbc/clients/go/verify/verifytest"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// liar is a node that changes its answers.
type liar struct {
	node verify.Prover
	lie  func(*ledgerv1.GetReceiptProofResponse)
}

func (l liar) GetReceiptProof(ctx context.Context, req *ledgerv1.GetReceiptProofRequest, opts ...grpc.CallOption) (*ledgerv1.GetReceiptProofResponse, error) {
	answer, err := l.node.GetReceiptProof(ctx, req, opts...)
	if err == nil {
		l.lie(answer)
	}
	return answer, err
}

func TestANodeIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	trusted := w.chain.BlockHash()
	w.chain.Mine()
	for name, c := range map[string]struct {
		lie  func(*ledgerv1.GetReceiptProofResponse)
		want verify.Link
		says string
	}{
		"nothing":               {func(r *ledgerv1.GetReceiptProofResponse) { r.Proof = nil }, verify.LinkLog, "version 0"},
		"another payment":       {func(r *ledgerv1.GetReceiptProofResponse) { r.Proof.Receipt.PaidUaitbc++ }, verify.LinkLog, "another payment"},
		"another miner":         {func(r *ledgerv1.GetReceiptProofResponse) { r.Proof.Receipt.Miner[0] ^= 1 }, verify.LinkLog, "another miner"},
		"half an account":       {func(r *ledgerv1.GetReceiptProofResponse) { r.Proof.Receipt.Client = nil }, verify.LinkLog, "client"},
		"half a hash":           {func(r *ledgerv1.GetReceiptProofResponse) { r.Proof.Path[1] = []byte{1} }, verify.LinkLog, "path has 1 bytes"},
		"another place":         {func(r *ledgerv1.GetReceiptProofResponse) { r.Proof.Receipt.LogIndex++ }, verify.LinkLog, "root"},
		"no block":              {func(r *ledgerv1.GetReceiptProofResponse) { r.LightBlock = nil }, verify.LinkHeader, "no header"},
		"bytes that are none":   {func(r *ledgerv1.GetReceiptProofResponse) { r.LightBlock = []byte{0xff} }, verify.LinkHeader, "read light block"},
		"half a block":          {func(r *ledgerv1.GetReceiptProofResponse) { r.LightBlock = r.LightBlock[:40] }, verify.LinkHeader, "read light block"},
		"a block asked not for": {func(*ledgerv1.GetReceiptProofResponse) {}, verify.LinkBlockHash, "not the trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := verify.At{}
			if c.want == verify.LinkBlockHash {
				at.BlockHash = trusted
			}
			_, err := verify.Prove(t.Context(), liar{deaf{w.chain}, c.lie}, w.receipt, []byte(result), at)
			requireLink(t, err, c.want)
			require.ErrorContains(t, err, c.says)
		})
	}
}

// deaf is a node that gives the latest block, whatever was asked for.
type deaf struct{ node verify.Prover }

func (d deaf) GetReceiptProof(ctx context.Context, req *ledgerv1.GetReceiptProofRequest, opts ...grpc.CallOption) (*ledgerv1.GetReceiptProofResponse, error) {
	return d.node.GetReceiptProof(ctx, &ledgerv1.GetReceiptProofRequest{JobId: req.GetJobId(), OperatorId: req.GetOperatorId()}, opts...)
}

func TestWhatTheNodeRefusesIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := verify.Prove(t.Context(), w.chain, w.receipt, []byte(result), verify.At{Height: 5})
	require.Equal(t, codes.FailedPrecondition, status.Code(err))
	_, err = verify.Prove(t.Context(), w.chain, w.receipt, []byte("another"), verify.At{})
	requireLink(t, err, verify.LinkReceipt)
	_, err = verify.Prove(t.Context(), w.chain, nil, nil, verify.At{})
	requireLink(t, err, verify.LinkReceipt)
}

func FuzzLightBlock(f *testing.F) {
	sample, err := os.ReadFile("testdata/receipt.json") // the same in every worker
	require.NoError(f, err)
	file, err := verify.Decode(sample)
	require.NoError(f, err)
	chain := verifytest.NewChain(file.Block.Header.ChainID, 4, nil)
	require.NoError(f, chain.Add(file.Receipt))
	answer, err := chain.GetReceiptProof(f.Context(), &ledgerv1.GetReceiptProofRequest{JobId: file.Receipt.JobID.String()})
	require.NoError(f, err)
	f.Add(answer.GetLightBlock())
	f.Fuzz(func(t *testing.T, data []byte) {
		lie := func(r *ledgerv1.GetReceiptProofResponse) { r.LightBlock = data }
		b, err := verify.Prove(t.Context(), liar{chain, lie}, file.Receipt, file.Result, verify.At{})
		if err == nil {
			require.NoError(t, verify.Consistent(b))
		}
	})
}
