package history

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// blockWriter gathers one block's records; what it reads includes what it is going to write.
type blockWriter struct {
	db      *DB
	pending map[string]proto.Message
}

func (w *blockWriter) commit() error {
	batch := w.db.db.NewBatch()
	for key, record := range w.pending {
		raw, err := proto.Marshal(record)
		if err != nil {
			return err
		}
		if err := batch.Set([]byte(key), raw); err != nil {
			return err
		}
	}
	if err := batch.WriteSync(); err != nil {
		return err
	}
	return batch.Close()
}

// transaction merges the result with that of the same bytes in another block: a message that was
// applied once stays applied, though the repeat is refused; of two refusals the later one counts.
func (w *blockWriter) transaction(b Block, tx state.TxResult) error {
	k := key(keyTransaction, tx.Hash[:])
	record := &ledgerv1.GetTransactionResponse{}
	if pending, there := w.pending[k]; there {
		proto.Merge(record, pending)
	} else if _, err := w.db.read(k, record); err != nil {
		return err
	}
	w.pending[k] = merge(record, &ledgerv1.GetTransactionResponse{
		Found:       true,
		Height:      b.Height,
		BlockTimeUs: b.TimeUS,
		Code:        tx.Code,
		Results:     results(tx),
	})
	return nil
}

func results(tx state.TxResult) []*ledgerv1.MessageResult {
	list := make([]*ledgerv1.MessageResult, len(tx.Messages))
	for i, m := range tx.Messages {
		list[i] = &ledgerv1.MessageResult{Code: m.Code, Detail: m.Detail}
	}
	return list
}

func merge(old, now *ledgerv1.GetTransactionResponse) *ledgerv1.GetTransactionResponse {
	switch {
	case !old.GetFound() || len(old.GetResults()) == 0:
		return now
	case len(now.GetResults()) == 0:
		return old
	}
	first, last := old, now
	if last.GetHeight() < first.GetHeight() {
		first, last = last, first
	}
	merged := last
	if applied(first) {
		merged = first
	}
	merged = &ledgerv1.GetTransactionResponse{
		Found: true, Height: merged.GetHeight(), BlockTimeUs: merged.GetBlockTimeUs(), Code: merged.GetCode(),
	}
	for i, r := range last.GetResults() {
		if first.GetResults()[i].GetCode() == ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
			r = first.GetResults()[i]
		}
		merged.Results = append(merged.Results, r)
	}
	return merged
}

func applied(record *ledgerv1.GetTransactionResponse) bool {
	for _, r := range record.GetResults() {
		if r.GetCode() == ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
			return true
		}
	}
	return false
}

func (w *blockWriter) event(b Block, e state.Event) error {
	k := key(keyJob, e.Operator[:], e.Job[:])
	record, err := w.job(k)
	if err != nil {
		return err
	}
	switch e.Kind {
	case state.Escrowed:
		// An operator may use an id again once its order has expired; what was is forgotten then.
		record.Escrow = &ledgerv1.Escrow{TxHash: e.TxHash[:]}
		record.Settlement = nil
	case state.RefundAsked:
		record.Escrow.RefundTxHash = e.TxHash[:]
	case state.Settled:
		record.Settlement = settlement(b, e, record.GetEscrow())
		if receipt := e.Settlement.Receipt; receipt != nil {
			w.pending[receiptKey(receipt.GetLogIndex())] = receipt
		}
	default:
		return fmt.Errorf("event of unknown kind %d", e.Kind)
	}
	w.pending[k] = record
	return nil
}

// job gives the job's record, with an escrow in it in any case.
func (w *blockWriter) job(k string) (*ledgerv1.GetJobResponse, error) {
	if pending, ok := w.pending[k].(*ledgerv1.GetJobResponse); ok {
		return pending, nil
	}
	record := &ledgerv1.GetJobResponse{}
	if _, err := w.db.read(k, record); err != nil {
		return nil, err
	}
	if record.GetEscrow() == nil {
		record.Escrow = &ledgerv1.Escrow{}
	}
	return record, nil
}

func settlement(b Block, e state.Event, escrow *ledgerv1.Escrow) *ledgerv1.Settlement {
	s := &ledgerv1.Settlement{
		JobId:          e.Job.String(),
		ClientId:       e.Settlement.Client.String(),
		OperatorId:     e.Operator.String(),
		Outcome:        e.Settlement.Outcome,
		PaidUaitbc:     int64(e.Settlement.Paid),
		RefundedUaitbc: int64(e.Settlement.Refunded),
		Height:         b.Height,
		BlockTimeUs:    b.TimeUS,
		Receipt:        e.Settlement.Receipt,
		EscrowTxHash:   escrow.GetTxHash(),
	}
	switch e.Settlement.Outcome {
	case ledgerv1.Settlement_OUTCOME_PAID:
		s.TxHash = e.TxHash[:]
	case ledgerv1.Settlement_OUTCOME_REFUNDED:
		s.TxHash = escrow.GetRefundTxHash()
	}
	return s
}
