package aitbc

import (
	"fmt"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// ReceiptVersion is the version of every [ReceiptLeaf].
const ReceiptVersion = 1

// ReceiptLeaf is a receipt as the ledger's log of receipts holds it: who was paid how much for what
// that was signed. Its bytes are a leaf of the log (RFC 6962).
type ReceiptLeaf struct {
	// JobID and Attempt say what was done.
	JobID   JobID
	Attempt uint32
	// Client paid, Miner was paid, Operator accepted the result.
	Client, Operator, Miner AccountID
	// OrderHash, LeaseHash and StatementHash are hashes of signing bytes.
	OrderHash, LeaseHash, StatementHash Hash
	// ResultCommitment is the statement's.
	ResultCommitment Hash
	// ComputeUS is the statement's, MeteredUS the acceptance's, in microseconds.
	ComputeUS, MeteredUS int64
	// Paid is what the miner got, Refunded what went back to the client.
	Paid, Refunded Amount
	// LogIndex is the place in the log, from 0.
	LogIndex uint64
}

// Bytes gives the leaf's one encoding.
func (l ReceiptLeaf) Bytes() []byte {
	w := newWriter(tagReceipt)
	w.uint32(ReceiptVersion)
	w.fixed(l.JobID[:])
	w.fixed(l.Client[:])
	w.fixed(l.Operator[:])
	w.fixed(l.Miner[:])
	w.uint32(l.Attempt)
	w.fixed(l.OrderHash[:])
	w.fixed(l.LeaseHash[:])
	w.fixed(l.StatementHash[:])
	w.fixed(l.ResultCommitment[:])
	w.int64(l.ComputeUS)
	w.int64(l.MeteredUS)
	w.int64(int64(l.Paid))
	w.int64(int64(l.Refunded))
	w.uint64(l.LogIndex)
	return w.buf
}

// Proto gives the leaf as the ledger's contract has it.
func (l ReceiptLeaf) Proto() *ledgerv1.LedgerReceipt {
	return &ledgerv1.LedgerReceipt{
		Version: ReceiptVersion, JobId: l.JobID[:], Client: l.Client[:], Operator: l.Operator[:], Miner: l.Miner[:],
		Attempt: l.Attempt, OrderHash: l.OrderHash[:], LeaseHash: l.LeaseHash[:], StatementHash: l.StatementHash[:],
		ResultCommitment: l.ResultCommitment[:], ComputeUs: l.ComputeUS, MeteredUs: l.MeteredUS,
		PaidUaitbc: int64(l.Paid), RefundedUaitbc: int64(l.Refunded), LogIndex: l.LogIndex,
	}
}

// ReceiptLeafOf reads a leaf of the ledger's contract. Errors: [ErrMalformed] for a version that
// this package does not know, or a field of another length than it must have.
func ReceiptLeafOf(m *ledgerv1.LedgerReceipt) (ReceiptLeaf, error) {
	l := ReceiptLeaf{
		Attempt: m.GetAttempt(), ComputeUS: m.GetComputeUs(), MeteredUS: m.GetMeteredUs(),
		Paid: Amount(m.GetPaidUaitbc()), Refunded: Amount(m.GetRefundedUaitbc()), LogIndex: m.GetLogIndex(),
	}
	if m.GetVersion() != ReceiptVersion {
		return l, fmt.Errorf("read receipt of the ledger: %w: version %d", ErrMalformed, m.GetVersion())
	}
	for _, field := range []struct {
		name string
		from []byte
		into []byte
	}{
		{"job_id", m.GetJobId(), l.JobID[:]},
		{"client", m.GetClient(), l.Client[:]},
		{"operator", m.GetOperator(), l.Operator[:]},
		{"miner", m.GetMiner(), l.Miner[:]},
		{"order_hash", m.GetOrderHash(), l.OrderHash[:]},
		{"lease_hash", m.GetLeaseHash(), l.LeaseHash[:]},
		{"statement_hash", m.GetStatementHash(), l.StatementHash[:]},
		{"result_commitment", m.GetResultCommitment(), l.ResultCommitment[:]},
	} {
		if len(field.from) != len(field.into) {
			return ReceiptLeaf{}, fmt.Errorf("read receipt of the ledger: %s: %w: %d bytes, want %d", field.name, ErrMalformed, len(field.from), len(field.into))
		}
		copy(field.into, field.from)
	}
	return l, nil
}

// StateRoots is what an app hash of the ledger commits to.
type StateRoots struct {
	// Entries is the root over the entries of the live state.
	Entries Hash
	// LogSize and LogRoot are the log of receipts, as RFC 6962 hashes it.
	LogSize uint64
	LogRoot Hash
}

// AppHash gives the app hash that a block's header holds after the block with these roots.
func (r StateRoots) AppHash() Hash {
	w := newWriter(tagState)
	w.fixed(r.Entries[:])
	w.uint64(r.LogSize)
	w.fixed(r.LogRoot[:])
	return w.hash()
}
