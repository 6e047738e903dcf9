package state

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

const (
	tagReceipt = "aitbc/receipt/v1"
	tagState   = "aitbc/state/v1"

	receiptVersion = 1
)

// LeafBytes gives the one encoding of a receipt as a leaf of the receipt log: domain tag, then the
// fields in the order of their numbers.
func LeafBytes(r *ledgerv1.LedgerReceipt) []byte {
	w := &writer{buf: make([]byte, 0, 320)}
	w.text(tagReceipt)
	w.uint32(r.GetVersion())
	w.fixed(r.GetJobId())
	w.fixed(r.GetClient())
	w.fixed(r.GetOperator())
	w.fixed(r.GetMiner())
	w.uint32(r.GetAttempt())
	w.fixed(r.GetOrderHash())
	w.fixed(r.GetLeaseHash())
	w.fixed(r.GetStatementHash())
	w.fixed(r.GetResultCommitment())
	w.int64(r.GetComputeUs())
	w.int64(r.GetMeteredUs())
	w.int64(r.GetPaidUaitbc())
	w.int64(r.GetRefundedUaitbc())
	w.uint64(r.GetLogIndex())
	return w.buf
}

// receiptLog is the receipt log as execution needs it: the compact range of RFC 6962's tree.
type receiptLog struct{ rng *compact.Range }

func newReceiptLog(size uint64, hashes [][]byte) (receiptLog, error) {
	factory := &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	rng, err := factory.NewRange(0, size, hashes)
	if err != nil {
		return receiptLog{}, fmt.Errorf("%w: receipt log of %d: %w", errCorrupt, size, err)
	}
	return receiptLog{rng: rng}, nil
}

func (l receiptLog) size() uint64 { return l.rng.End() }

// hashes gives a copy of the range's hashes.
func (l receiptLog) hashes() [][]byte {
	hashes := make([][]byte, len(l.rng.Hashes()))
	for i, h := range l.rng.Hashes() {
		hashes[i] = append([]byte(nil), h...)
	}
	return hashes
}

// clone gives a log that grows on its own.
func (l receiptLog) clone() receiptLog {
	copied, err := newReceiptLog(l.size(), l.hashes())
	if err != nil { // a range that is one makes one
		panic(err)
	}
	return copied
}

func (l receiptLog) add(leaf []byte) {
	if err := l.rng.Append(rfc6962.DefaultHasher.HashLeaf(leaf), nil); err != nil {
		panic(err) // only a range that does not begin at 0 and does not fit gives one
	}
}

// root gives the log's root hash.
func (l receiptLog) root() []byte {
	if l.size() == 0 {
		return rfc6962.DefaultHasher.EmptyRoot()
	}
	root, err := l.rng.GetRootHash(nil)
	if err != nil { // only a range that does not begin at 0 gives one
		panic(err)
	}
	return root
}

// appHash commits to the entries and to the receipt log: SHA-256 of domain tag, the entries' root,
// the log's size and the log's root. Height and time are not in it (see the package comment).
func appHash(live aitbc.Hash, log receiptLog) aitbc.Hash {
	w := &writer{}
	w.text(tagState)
	w.fixed(live[:])
	w.uint64(log.size())
	w.fixed(log.root())
	return sha256.Sum256(w.buf)
}

// price gives what metered microseconds cost. A time.Duration holds 292 years of them, which is
// more than any execution limit may be.
func price(meteredUS int64, perSecond, limit aitbc.Amount) aitbc.Amount {
	return aitbc.Price(time.Duration(meteredUS)*time.Microsecond, perSecond, limit)
}
