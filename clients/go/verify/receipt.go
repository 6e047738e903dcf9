package verify

import (
	"crypto/sha256"
	"strings"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Receipt checks everything: that result, papers and payment belong together and are signed, that
// the ledger's log holds the receipt, that the header commits to that log, that over two thirds of
// the validators' power signed the header, every signature being right, and that the header's hash
// is the trusted one. The trusted hash must come from somewhere else than the bundle: a node of
// one's own, a print-out, several strangers who agree. Errors: [*LinkError].
func Receipt(b *Bundle, trusted aitbc.Hash) error {
	if err := Consistent(b); err != nil {
		return err
	}
	return isTrusted(&b.Block, trusted)
}

// Consistent checks all that Receipt does but the last link. Then the signatures of client, operator
// and miner are right; but whether the chain has the receipt is open, because anybody can make up
// validators that sign anything. Errors: [*LinkError].
func Consistent(b *Bundle) error {
	if err := checkReceipt(b.Receipt, b.Result); err != nil {
		return err
	}
	leaf, err := LeafOf(b.Receipt, b.Proof.LogIndex)
	if err != nil {
		return err
	}
	order, err := aitbc.ParseOrder(b.Receipt.Evidence.Order)
	if err != nil {
		return &LinkError{Link: LinkReceipt, Err: err}
	}
	if order.ChainID != b.Block.Header.ChainID {
		return broken(LinkHeader, "it is of chain %q, the order is for %q", b.Block.Header.ChainID, order.ChainID)
	}
	return leads(leaf, &b.Proof, &b.Block)
}

func checkReceipt(r *aitbc.Receipt, result []byte) error {
	if r != nil && len(r.Evidence.OrderSignature) == 0 && len(r.Evidence.ClientKey) != 0 {
		return broken(LinkReceipt, "order: a key without a signature, which nothing can check")
	}
	if err := aitbc.VerifyReceipt(r, result); err != nil {
		return &LinkError{Link: LinkReceipt, Err: receiptError{err}}
	}
	return nil
}

// receiptError is an error of [aitbc.VerifyReceipt] that does not say again what LinkError says.
type receiptError struct{ error }

func (e receiptError) Error() string {
	return strings.TrimPrefix(e.error.Error(), aitbc.ErrReceipt.Error()+": ")
}

func (e receiptError) Unwrap() error { return e.error }

// LeafOf gives the leaf that the ledger must hold, at a place in its log, for a receipt that has been
// checked. Errors: [*LinkError] for papers that cannot be read.
func LeafOf(r *aitbc.Receipt, index uint64) (leaf aitbc.ReceiptLeaf, err error) {
	e := r.Evidence
	statement, err := aitbc.ParseAnyStatement(e.Statement)
	if err != nil {
		return leaf, &LinkError{Link: LinkReceipt, Err: err}
	}
	acceptance, err := aitbc.ParseAcceptance(e.Acceptance)
	if err != nil {
		return leaf, &LinkError{Link: LinkReceipt, Err: err}
	}
	return aitbc.ReceiptLeaf{
		JobID:            r.JobID,
		Attempt:          r.Attempt,
		Client:           r.Client,
		Operator:         r.Operator,
		Miner:            r.Miner,
		OrderHash:        sha256.Sum256(e.Order),
		LeaseHash:        sha256.Sum256(e.Lease),
		StatementHash:    sha256.Sum256(e.Statement),
		ResultCommitment: statement.ResultCommitment,
		ComputeUS:        statement.ComputeUS,
		MeteredUS:        acceptance.MeteredUS,
		Paid:             r.Paid,
		Refunded:         r.Refunded,
		LogIndex:         index,
	}, nil
}
