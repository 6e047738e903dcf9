package settlement_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// A ledger whose rules are older refuses what inherits, so nothing would settle there if it were sent.
func TestMessagesInheritWhereTheLedgersRulesLetThem(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rules uint32
		want  int
	}{
		"the rules before": {aitbc.RulesInherit - 1, 0},
		"these rules":      {aitbc.RulesInherit, 6},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.chain.Rules(test.rules)
				elapse(2 * heartbeat) // so that the client has seen it
				var ids []aitbc.JobID
				for range 4 {
					j := w.cast.Job(t, w.chain.Now())
					w.book.Put(j, job.SubmitJob)
					ids = append(ids, j.ID)
				}
				w.start(t)
				w.await(t, "escrows", func() bool { return w.book.Owed() == 0 })
				w.stop()
				for _, id := range ids {
					w.book.Put(w.cast.Accept(t, w.book.Job(id), w.chain.Now()))
				}
				w.start(t)
				w.await(t, "receipts", func() bool { return w.book.Owed() == 0 })
				require.Equal(t, test.want, w.chain.Inherited())
				require.Equal(t, []int{4, 4}, w.chain.Committed())
			})
		})
	}
}
