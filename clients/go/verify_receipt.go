package aitbc

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrReceipt is wrapped by every error of [VerifyReceipt].
var ErrReceipt = errors.New("the receipt does not check")

// VerifyReceipt checks a receipt against its result, without asking anybody: that order, lease,
// statement and acceptance are each signed by the account they name, that each names the one
// before it by hash, that the miner signed for exactly this result, and that the receipt's
// figures, the payment above all, follow from what was signed.
//
// It does not check that the ledger holds the receipt, nor that the model was run: docs/trust.md.
// It takes the keys of the evidence for current ones of their accounts only when the accounts
// were made with them. Errors: [ErrReceipt].
func VerifyReceipt(receipt *Receipt, result []byte) error {
	if receipt == nil {
		return fmt.Errorf("%w: there is none", ErrReceipt)
	}
	parts, err := parseEvidence(receipt.Evidence)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	for _, check := range []func() error{
		func() error { return parts.signatures(receipt.Evidence) },
		func() error { return parts.links(receipt.Evidence) },
		func() error { return parts.result(receipt, result) },
		func() error { return parts.payment(receipt) },
		func() error { return parts.shown(receipt) },
	} {
		if err := check(); err != nil {
			return fmt.Errorf("%w: %w", ErrReceipt, err)
		}
	}
	return nil
}

// evidence is the signed parts, read.
type evidence struct {
	order      Order
	lease      Lease
	statement  Statement
	acceptance Acceptance
	salt       Salt
}

func parseEvidence(e Evidence) (evidence, error) {
	order, errOrder := ParseOrder(e.Order)
	lease, errLease := ParseLease(e.Lease)
	statement, errStatement := ParseAnyStatement(e.Statement)
	acceptance, errAcceptance := ParseAcceptance(e.Acceptance)
	if err := errors.Join(errOrder, errLease, errStatement, errAcceptance); err != nil {
		return evidence{}, err
	}
	if len(e.Salt) != len(Salt{}) {
		return evidence{}, fmt.Errorf("salt of %d bytes", len(e.Salt))
	}
	return evidence{order, lease, statement, acceptance, Salt(e.Salt)}, nil
}

func (p evidence) signatures(e Evidence) error {
	checks := []struct {
		what    string
		account AccountID
		key     []byte
		body    []byte
		sig     []byte
	}{
		{"lease", p.order.Operator, e.OperatorKey, e.Lease, e.LeaseSignature},
		{"statement", p.lease.Miner, e.MinerKey, e.Statement, e.StatementSignature},
		{"acceptance", p.order.Operator, e.OperatorKey, e.Acceptance, e.AcceptanceSignature},
		{"order", p.order.Client, e.ClientKey, e.Order, e.OrderSignature},
	}
	if len(e.OrderSignature) == 0 { // an allowance on the ledger stands for it
		checks = checks[:len(checks)-1]
	}
	for _, c := range checks {
		if AccountOf(c.key) != c.account {
			return fmt.Errorf("%s: the public key is not that of account %s", c.what, c.account)
		}
		if !Verify(ed25519.PublicKey(c.key), c.body, c.sig) {
			return fmt.Errorf("%s: the signature is not that of account %s", c.what, c.account)
		}
	}
	return nil
}

func (p evidence) links(e Evidence) error {
	o, l, s, a := p.order, p.lease, p.statement, p.acceptance
	return allTrue(
		fact{"lease: is for the order", l.OrderHash == sha256.Sum256(e.Order)},
		fact{"lease: chain, job and operator are the order's", l.ChainID == o.ChainID && l.JobID == o.JobID && l.Operator == o.Operator},
		fact{"statement: is for the lease", s.LeaseHash == sha256.Sum256(e.Lease)},
		fact{"statement: chain, job and attempt are the lease's", s.ChainID == l.ChainID && s.JobID == l.JobID && s.Attempt == l.Attempt},
		fact{"statement: model and digest are the lease's", s.Model == l.Model && s.ModelDigest == l.ModelDigest},
		fact{"acceptance: is for the statement", a.StatementHash == sha256.Sum256(e.Statement)},
		fact{"acceptance: chain and job are the order's", a.ChainID == o.ChainID && a.JobID == o.JobID},
	)
}

func (p evidence) result(r *Receipt, result []byte) error {
	hash := ResultHash(result)
	return allTrue(
		fact{"result: has the receipt's hash", r.ResultHash == hash},
		fact{"result: is the one the miner signed for", p.statement.ResultCommitment == Commitment(p.salt, hash)},
	)
}

func (p evidence) payment(r *Receipt) error {
	metered := p.acceptance.MeteredUS
	cost := Price(micros(metered), p.order.Price, p.order.MaxPrice)
	return allTrue(
		fact{"metered time: is not negative", metered >= 0},
		fact{"execution limit: is a time that can be", p.order.ExecutionLimitUS <= math.MaxInt64/1000}, // or micros overflows
		fact{"metered time: is within the miner's compute time", metered <= p.statement.ComputeUS},
		fact{"metered time: is within the order's execution limit", metered <= p.order.ExecutionLimitUS},
		fact{"payment: is metered time times price, up to the price limit", r.Paid == cost},
		fact{"refund: is the rest of the escrow", r.Refunded == p.order.MaxPrice-cost},
	)
}

// shown checks that the receipt says what was signed.
func (p evidence) shown(r *Receipt) error {
	o, l, s := p.order, p.lease, p.statement
	return allTrue(
		fact{"job: is the order's", r.JobID == o.JobID && r.ID == o.JobID.ReceiptID()},
		fact{"accounts: are the signed ones", r.Client == o.Client && r.Operator == o.Operator && r.Miner == l.Miner},
		fact{"attempt: is the lease's", r.Attempt == l.Attempt},
		fact{"model: is the statement's", r.Model == s.Model && r.ModelDigest == s.ModelDigest},
		fact{"meter: shows the signed times", r.Meter.Metered == micros(p.acceptance.MeteredUS) &&
			r.Meter.Compute == micros(s.ComputeUS) && r.Meter.ExecutionLimit == micros(o.ExecutionLimitUS)},
		fact{"meter: shows the signed prices", r.Meter.PricePerSecond == o.Price && r.Meter.MaxPrice == o.MaxPrice},
		fact{"meter: shows the signed tokens", int64(r.Meter.PromptTokens) == int64(s.PromptTokens) &&
			int64(r.Meter.OutputTokens) == int64(s.OutputTokens)},
	)
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

// fact is something that must hold: "subject: predicate".
type fact struct {
	claim string
	holds bool
}

func allTrue(facts ...fact) error {
	for _, f := range facts {
		if !f.holds {
			return fmt.Errorf("not true of the %s", f.claim)
		}
	}
	return nil
}
