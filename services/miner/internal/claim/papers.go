package claim

import (
	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

// papers are what was signed about one accepted result.
type papers struct {
	record     spool.Record
	order      aitbc.Order
	lease      aitbc.Lease
	statement  aitbc.Statement
	acceptance aitbc.Acceptance
}

func read(r spool.Record) (p papers, err error) {
	p.record = r
	if p.order, err = aitbc.ParseOrder(r.Lease.GetOrderBody()); err != nil {
		return p, err
	}
	if p.lease, err = aitbc.ParseLease(r.Lease.GetBody()); err != nil {
		return p, err
	}
	if p.statement, err = aitbc.ParseStatement(r.Result.GetStatementBody()); err != nil {
		return p, err
	}
	p.acceptance, err = aitbc.ParseAcceptance(r.Acceptance.GetBody())
	return p, err
}

// message is the receipt as a miner sends it: with the operator's signatures.
func (p papers) message() *ledgerv1.RecordReceipt {
	l, s := p.lease, p.statement
	return &ledgerv1.RecordReceipt{
		Operator: l.Operator[:], JobId: l.JobID[:], Attempt: l.Attempt, Miner: l.Miner[:],
		Model: l.Model, ModelDigest: l.ModelDigest[:], LeaseIssuedUs: l.IssuedUS, LeaseSignature: p.record.Lease.GetSignature(),
		ResultCommitment: s.ResultCommitment[:], ComputeUs: s.ComputeUS, PromptTokens: s.PromptTokens, OutputTokens: s.OutputTokens,
		Engine: s.Engine, Stopped: s.Stopped, StatementSignature: p.record.Result.GetStatementSignature(),
		MeteredUs: p.acceptance.MeteredUS, AcceptanceSignature: p.record.Acceptance.GetSignature(),
	}
}
