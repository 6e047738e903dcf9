package replica

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	replicav1 "github.com/aitbc/aitbc/gen/go/aitbc/replica/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// Settle implements settlement.Sink: each outcome goes to the replica that has its job. When one of
// them does not take its part, all of them come again, which changes nothing elsewhere.
func (m *Member) Settle(ctx context.Context, outcomes []job.Outcome) error {
	if m.Alone() {
		return m.jobs.Settle(ctx, outcomes)
	}
	ids := make([]aitbc.JobID, len(outcomes))
	for i, o := range outcomes {
		ids[i] = o.JobID
	}
	shards, err := m.deps.Store.Shards(ctx, ids)
	if err != nil {
		return err
	}
	parts := make(map[int32][]job.Outcome)
	for _, o := range outcomes {
		shard, live := shards[o.JobID]
		if !live { // done: whoever notes that takes the message from the outbox
			shard = m.Shards()[0]
		}
		parts[shard] = append(parts[shard], o)
	}
	var group errgroup.Group
	for shard, part := range parts {
		group.Go(func() error { return m.settlePart(ctx, shard, part) })
	}
	return group.Wait()
}

func (m *Member) settlePart(ctx context.Context, shard int32, part []job.Outcome) error {
	p, elsewhere := m.holder(shard)
	switch {
	case !elsewhere:
		return m.jobs.Settle(ctx, part)
	case p == nil:
		return fmt.Errorf("settle %d jobs of shard %d: nobody has it at the moment: %w", len(part), shard, dispatch.ErrElsewhere)
	}
	client, ctx, cancel, err := m.client(ctx, p)
	if err != nil {
		return err
	}
	defer cancel()
	request := &replicav1.SettleRequest{Outcomes: make([]*replicav1.Outcome, len(part))}
	for i, o := range part {
		request.Outcomes[i] = outcomeMessage(o)
	}
	if _, err := client.Settle(ctx, request); err != nil {
		return fmt.Errorf("settle %d jobs at replica %d: %w", len(part), p.ID, err)
	}
	return nil
}

// Decide implements dispatch.Outbox.
func (m *Member) Decide(id aitbc.JobID, kind job.Message) (job.Outcome, bool) {
	return m.settlement.Decide(id, kind)
}

// Notify implements dispatch.Outbox: the ledger is owed something. It does not block.
func (m *Member) Notify() {
	p, elsewhere := m.holder(store.Settling)
	switch {
	case !elsewhere:
		m.settlement.Notify()
	case p != nil:
		select {
		case m.owing <- p:
		default: // somebody is about to say so
		}
	}
}

// tell passes on that the ledger is owed something to the replica that settles.
func (m *Member) tell(ctx context.Context) error {
	for {
		select {
		case p := <-m.owing:
			m.notify(ctx, p, &replicav1.NotifyRequest{Owed: true})
		case <-ctx.Done():
			return nil
		}
	}
}

func outcomeMessage(o job.Outcome) *replicav1.Outcome {
	message := &replicav1.Outcome{
		JobId: o.JobID[:], Kind: string(o.Kind), EscrowTx: optional(o.EscrowTx),
		RefusedReason: int32(o.Refused.Reason), RefusedMessage: o.Refused.Message,
	}
	if s := o.Settlement; s != nil {
		message.Settlement = &replicav1.Settlement{
			PaidUaitbc: int64(s.Paid), RefundedUaitbc: int64(s.Refunded), Height: s.Height, BlockTimeUs: unix(s.BlockTime),
			TxHash: optional(s.TxHash), RefundFinalUs: unix(s.RefundFinalAt), HasReceipt: s.HasReceipt,
		}
	}
	return message
}

func outcomeOf(message *replicav1.Outcome) (job.Outcome, error) {
	o := job.Outcome{Kind: job.Message(message.GetKind())}
	o.Refused = job.Failure{Reason: coordinatorv1.ErrorReason(message.GetRefusedReason()), Message: message.GetRefusedMessage()}
	if !slices.Contains([]job.Message{job.SubmitJob, job.RecordReceipt, job.RefundJob}, o.Kind) {
		return o, fmt.Errorf("an outcome of %q", o.Kind)
	}
	s := message.GetSettlement()
	if s != nil {
		o.Settlement = &job.Settlement{
			Paid: aitbc.Amount(s.GetPaidUaitbc()), Refunded: aitbc.Amount(s.GetRefundedUaitbc()), Height: s.GetHeight(),
			BlockTime: instant(s.GetBlockTimeUs()), RefundFinalAt: instant(s.GetRefundFinalUs()), HasReceipt: s.GetHasReceipt(),
		}
		if !fixed(o.Settlement.TxHash[:], s.GetTxHash()) {
			return o, fmt.Errorf("an outcome whose transaction's hash has %d bytes", len(s.GetTxHash()))
		}
	}
	if len(message.GetJobId()) != len(o.JobID) || !fixed(o.JobID[:], message.GetJobId()) || !fixed(o.EscrowTx[:], message.GetEscrowTx()) {
		return o, fmt.Errorf("an outcome with a job id of %d bytes and an escrow hash of %d", len(message.GetJobId()), len(message.GetEscrowTx()))
	}
	return o, nil
}

func optional(h aitbc.Hash) []byte {
	if h.IsZero() {
		return nil
	}
	return h[:]
}

// fixed copies bytes that are as long as to, or none.
func fixed(to, from []byte) bool {
	copy(to, from)
	return len(from) == 0 || len(from) == len(to)
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
