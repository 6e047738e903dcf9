package history

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/crash"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// blockWriter gathers one block's records; what it reads includes what it is going to write.
type blockWriter struct {
	db      *DB
	pending map[string]proto.Message
	raw     map[string][]byte // records that are no messages
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
	for key, value := range w.raw {
		if err := batch.Set([]byte(key), value); err != nil {
			return err
		}
	}
	if err := batch.WriteSync(); err != nil {
		return err
	}
	return batch.Close()
}

// transaction remembers how a transaction ended. The same bytes can be in several blocks, but are
// admitted in one of them at most: its results stay, and of refusals as a whole the last one counts.
func (w *blockWriter) transaction(b Block, tx state.TxResult) error {
	k := key(keyTransaction, tx.Hash[:])
	record, there := w.pending[k].(*ledgerv1.GetTransactionResponse)
	if !there {
		record = &ledgerv1.GetTransactionResponse{}
		if _, err := w.db.read(k, record); err != nil {
			return err
		}
	}
	if len(record.GetResults()) > 0 {
		return nil
	}
	w.pending[k] = &ledgerv1.GetTransactionResponse{
		Found:       true,
		Height:      b.Height,
		BlockTimeUs: b.TimeUS,
		Code:        tx.Code,
		Results:     results(tx),
	}
	return nil
}

func results(tx state.TxResult) []*ledgerv1.MessageResult {
	list := make([]*ledgerv1.MessageResult, len(tx.Messages))
	for i, m := range tx.Messages {
		list[i] = &ledgerv1.MessageResult{Code: m.Code, Detail: m.Detail}
	}
	return list
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
		if crash.Enabled && crash.Planted("forgotten-settlement") { // as in state/plant.go
			break
		}
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
		FeeUaitbc:      int64(e.Settlement.Fee),
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
	case ledgerv1.Settlement_OUTCOME_EXPIRED, ledgerv1.Settlement_OUTCOME_UNSPECIFIED:
		// An escrow expires by the clock, without a transaction.
	}
	return s
}
