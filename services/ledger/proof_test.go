package ledger_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/verify"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
)

// settled escrows a job, pays it, and gives its receipt as a coordinator would.
func (n *node) settled(job int) (receipt *aitbc.Receipt, result []byte) {
	n.t.Helper()
	now := n.now()
	work := ledgertest.Work{
		Order: ledgertest.Order(ledgertest.Job(job), now), Miner: "miner", Attempt: 1,
		ComputeUS: 12_500_000, MeteredUS: 12_500_000, Salt: aitbc.Salt{1}, Result: []byte("an answer"),
	}
	require.Zero(n.t, n.commit(operatorTx(n.t, now, ledgertest.Submit(work.Order))).GetResults()[0].GetCode())
	require.Zero(n.t, n.commit(operatorTx(n.t, now, ledgertest.Receipt(work))).GetResults()[0].GetCode())
	return work.Receipt(), work.Result
}

// blockHash asks CometBFT itself.
func (n *node) blockHash(height int64) aitbc.Hash {
	n.t.Helper()
	answer, err := n.rpc.Commit(n.t.Context(), &height)
	require.NoError(n.t, err)
	return aitbc.Hash(answer.Header.Hash())
}

// prove asks for a proof against the latest header until there is one: the header that has it comes with the next block.
func (n *node) prove(receipt *aitbc.Receipt, result []byte) *verify.Bundle {
	n.t.Helper()
	return n.proveAt(receipt, result, verify.At{})
}

func (n *node) proveAt(receipt *aitbc.Receipt, result []byte, at verify.At) *verify.Bundle {
	n.t.Helper()
	var b *verify.Bundle
	var err error
	require.Eventually(n.t, func() bool {
		b, err = verify.Prove(n.t.Context(), n.grpc, receipt, result, at)
		return status.Code(err) != codes.Unavailable
	}, patience, time.Millisecond)
	require.NoError(n.t, err)
	return b
}

func TestReceiptsOfARealChainAreProven(t *testing.T) {
	t.Parallel()
	s, _ := start(t, config(t.TempDir()))
	n := dial(t, s.RPCAddr().String(), s.GRPCAddr().String())
	n.settled(1)
	receipt, result := n.settled(2)

	early := n.prove(receipt, result)
	require.Equal(t, uint64(1), early.Proof.LogIndex)
	require.NoError(t, verify.Receipt(early, n.blockHash(early.Block.Header.Height)))

	n.prove(n.settled(3)) // when that can be proven, the log has three
	late := n.prove(receipt, result)
	require.Greater(t, late.Block.Header.Height, early.Block.Header.Height)
	require.Equal(t, uint64(3), late.Proof.Roots.LogSize)
	require.NoError(t, verify.Receipt(late, n.blockHash(late.Block.Header.Height)))

	// The same block again, by what names it. Its votes may be more by now, so only they differ.
	hash := early.Block.Hash()
	for _, at := range []verify.At{{Height: early.Block.Header.Height}, {BlockHash: hash}} {
		again := n.proveAt(receipt, result, at)
		require.Equal(t, early.Proof, again.Proof)
		require.NoError(t, verify.Receipt(again, hash))
	}
}

func TestProofsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	s, _ := start(t, config(t.TempDir()))
	n := dial(t, s.RPCAddr().String(), s.GRPCAddr().String())
	receipt, result := n.settled(1)
	n.prove(receipt, result)
	operator := ledgertest.ID("operator").String()
	for name, c := range map[string]struct {
		request *ledgerv1.GetReceiptProofRequest
		want    codes.Code
	}{
		"a block that is not there":  {&ledgerv1.GetReceiptProofRequest{Height: 1 << 40}, codes.FailedPrecondition},
		"a hash that is no block's":  {&ledgerv1.GetReceiptProofRequest{BlockHash: make([]byte, 32)}, codes.FailedPrecondition},
		"half a hash":                {&ledgerv1.GetReceiptProofRequest{BlockHash: make([]byte, 16)}, codes.InvalidArgument},
		"both a hash and a height":   {&ledgerv1.GetReceiptProofRequest{BlockHash: make([]byte, 32), Height: 2}, codes.InvalidArgument},
		"a block before the receipt": {&ledgerv1.GetReceiptProofRequest{Height: 1}, codes.FailedPrecondition},
		"a negative height":          {&ledgerv1.GetReceiptProofRequest{Height: -1}, codes.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			c.request.JobId, c.request.OperatorId = receipt.JobID.String(), operator
			_, err := n.grpc.GetReceiptProof(t.Context(), c.request)
			require.Equal(t, c.want, status.Code(err), err)
		})
	}
	_, err := n.grpc.GetReceiptProof(t.Context(), &ledgerv1.GetReceiptProofRequest{JobId: ledgertest.Job(9).String(), OperatorId: operator})
	require.Equal(t, codes.NotFound, status.Code(err))
}
