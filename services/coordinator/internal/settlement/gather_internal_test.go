package settlement

import (
	"testing"

	"github.com/stretchr/testify/require"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

func TestReceiptsOfOneModelAndMinerStandSideBySide(t *testing.T) {
	t.Parallel()
	escrow := func(seq int64) *entry {
		return &entry{seq: seq, message: &ledgerv1.Message{Message: &ledgerv1.Message_SubmitJob{SubmitJob: &ledgerv1.SubmitJob{}}}}
	}
	receipt := func(seq int64, model, miner byte) *entry {
		r := &ledgerv1.RecordReceipt{ModelDigest: []byte{model}, Miner: []byte{miner}}
		return &entry{seq: seq, message: &ledgerv1.Message{Message: &ledgerv1.Message_RecordReceipt{RecordReceipt: r}}}
	}
	entries := []*entry{escrow(1), receipt(2, 8, 1), receipt(3, 7, 2), escrow(4), receipt(5, 8, 1), receipt(6, 7, 1), escrow(7)}
	gather(entries)
	var order []int64
	for _, e := range entries {
		order = append(order, e.seq)
	}
	require.Equal(t, []int64{6, 3, 2, 5, 1, 4, 7}, order)
}
