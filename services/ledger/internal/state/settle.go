package state

import (
	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// claim is a receipt as sent, rebuilt into the three things that were signed.
type claim struct {
	ref        jobRef
	lease      aitbc.Lease
	statement  aitbc.Statement
	acceptance aitbc.Acceptance
	message    *ledgerv1.RecordReceipt
}

// recordReceipt pays a miner for accepted compute and ends the escrow. What costs most, the
// signatures, is checked last.
func (b *Block) recordReceipt(e *envelope, m *ledgerv1.RecordReceipt) *refusal {
	c, no := b.readClaim(e.signer, m)
	if no != nil {
		return no
	}
	if e.signer != c.ref.operator && e.signer != c.lease.Miner {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_NOT_MINER, "%s is neither the lease's miner nor the order's operator", e.signer)
	}
	if no := b.mustBeOperator(c.ref.operator); no != nil {
		return no
	}
	escrow, open := load(b.entries, escrowKey(c.ref), readEscrow)
	if !open {
		return notOpen(c.ref.job)
	}
	if no := b.checkClaim(c, escrow); no != nil {
		return no
	}
	c.bind(escrow.OrderHash)
	if no := b.checkSignatures(e.signer, c); no != nil {
		return no
	}
	b.pay(e, c, escrow)
	return nil
}

// readClaim checks the form of a receipt and rebuilds what was signed, hashes still missing.
func (b *Block) readClaim(signer aitbc.AccountID, m *ledgerv1.RecordReceipt) (*claim, *refusal) {
	if m.Running != nil && b.base.params.RulesVersion < rulesRunning { //nolint:protogetter // nil: not set
		return nil, malformed("a field that these rules do not know: running") // as a program that has never heard of it
	}
	job, no := jobField(m.GetJobId())
	if no != nil {
		return nil, no
	}
	operator := signer
	if len(m.GetOperator()) != 0 {
		if operator, no = accountField("operator", m.GetOperator()); no != nil {
			return nil, no
		}
	}
	miner, no := accountField("miner", m.GetMiner())
	if no != nil {
		return nil, no
	}
	digest, no := hashField("model_digest", m.GetModelDigest())
	if no != nil {
		return nil, no
	}
	result, no := hashField("result_commitment", m.GetResultCommitment())
	if no != nil {
		return nil, no
	}
	if m.GetAttempt() == 0 || m.GetComputeUs() < 0 || len(m.GetModel()) > maxModelBytes || len(m.GetEngine()) > maxEngineBytes {
		return nil, malformed("no attempt, a negative time, or the name of model or engine is too long")
	}
	chain := b.base.info.ChainID
	return &claim{
		ref: jobRef{operator: operator, job: job},
		lease: aitbc.Lease{
			ChainID: chain, JobID: job, Attempt: m.GetAttempt(), Operator: operator, Miner: miner,
			Model: m.GetModel(), ModelDigest: digest, IssuedUS: m.GetLeaseIssuedUs(),
		},
		statement: aitbc.Statement{
			ChainID: chain, JobID: job, Attempt: m.GetAttempt(), ResultCommitment: result,
			Model: m.GetModel(), ModelDigest: digest, ComputeUS: m.GetComputeUs(),
			PromptTokens: m.GetPromptTokens(), OutputTokens: m.GetOutputTokens(),
			Engine: m.GetEngine(), Stopped: m.GetStopped(),
			Running: m.GetRunning(),
		},
		acceptance: aitbc.Acceptance{ChainID: chain, JobID: job, MeteredUS: m.GetMeteredUs()},
		message:    m,
	}, nil
}

// bind links lease, statement and acceptance by hash to the order that the escrow was made for.
func (c *claim) bind(order aitbc.Hash) {
	c.lease.OrderHash = order
	c.statement.LeaseHash = c.lease.Hash()
	c.acceptance.StatementHash = c.statement.Hash()
}

// checkClaim holds a claim to the escrow's limits and times. A refund whose window has passed is
// final even while it waits for its turn to be carried out.
func (b *Block) checkClaim(c *claim, e Escrow) *refusal {
	if b.nowUS() > e.SettleByUS {
		return tooLate(c.ref.job, e)
	}
	if e.RefundFinalUS != 0 && b.nowUS() > e.RefundFinalUS {
		return notOpen(c.ref.job)
	}
	metered := c.acceptance.MeteredUS
	if metered < 0 || metered > c.statement.ComputeUS || metered > e.ExecutionLimitUS {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_METER, "metered %d us, the statement has %d and the limit is %d",
			metered, c.statement.ComputeUS, e.ExecutionLimitUS)
	}
	return nil
}

// checkSignatures checks the miner's signature and, unless the operator signed the transaction,
// the operator's two.
func (b *Block) checkSignatures(signer aitbc.AccountID, c *claim) *refusal {
	miner, _ := b.account(c.lease.Miner)
	if _, registered := b.entries.Get(minerKey(c.lease.Miner)); !registered || len(miner.PublicKey) == 0 {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_NOT_MINER, "account %s is not a registered miner", c.lease.Miner)
	}
	if signer != c.ref.operator {
		operator, _ := b.account(c.ref.operator)
		if !b.signed(operator, c.lease.SigningBytes(), c.message.GetLeaseSignature()) {
			return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_LEASE, "the operator's signature of the lease does not check")
		}
		if !b.signed(operator, c.acceptance.SigningBytes(), c.message.GetAcceptanceSignature()) {
			return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_ACCEPTANCE, "the operator's signature of the acceptance does not check")
		}
	}
	if !b.signed(miner, c.statement.SigningBytes(), c.message.GetStatementSignature()) {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_STATEMENT, "the miner's signature of the statement does not check")
	}
	return nil
}

// pay ends the escrow by the claim and puts the receipt into the log.
func (b *Block) pay(e *envelope, c *claim, escrow Escrow) {
	paid := price(c.acceptance.MeteredUS, escrow.Price, escrow.Amount)
	refunded := escrow.Amount - paid
	b.close(c.ref, escrow, refunded)
	fee := b.base.params.fee(paid)
	if paid > fee {
		b.credit(c.lease.Miner, paid-fee)
	}
	b.burn(fee)
	b.plantInPay(c, escrow, paid)
	leaf := aitbc.ReceiptLeaf{
		JobID:            c.ref.job,
		Attempt:          c.lease.Attempt,
		Client:           escrow.Client,
		Operator:         c.ref.operator,
		Miner:            c.lease.Miner,
		OrderHash:        escrow.OrderHash,
		LeaseHash:        c.statement.LeaseHash,
		StatementHash:    c.acceptance.StatementHash,
		ResultCommitment: c.statement.ResultCommitment,
		ComputeUS:        c.statement.ComputeUS,
		MeteredUS:        c.acceptance.MeteredUS,
		Paid:             paid,
		Refunded:         refunded,
		LogIndex:         b.log.size(),
	}
	if !plantedOmission() {
		b.logNodes = append(b.logNodes, b.log.add(leaf.Bytes())...)
	}
	b.events = append(b.events, Event{
		Kind: Settled, Operator: c.ref.operator, Job: c.ref.job, TxHash: e.hash,
		Settlement: Settlement{
			Outcome: ledgerv1.Settlement_OUTCOME_PAID, Client: escrow.Client,
			Paid: paid, Refunded: refunded, Fee: fee, Receipt: leaf.Proto(),
		},
	})
}

// expire returns the escrows that are due, the longest due first, at most so many a block.
func (b *Block) expire() {
	due := first(b.entries, keyDue, timeEnd(keyDue, b.nowUS()), int(b.base.params.MaxExpiriesPerBlock))
	for _, key := range due {
		ref := refAtEnd(key)
		escrow, open := load(b.entries, escrowKey(ref), readEscrow)
		if !open {
			panic("an escrow is due that is not open")
		}
		if plantedDelay() {
			continue
		}
		outcome, kind := ledgerv1.Settlement_OUTCOME_EXPIRED, KindExpired
		if escrow.RefundFinalUS != 0 {
			outcome, kind = ledgerv1.Settlement_OUTCOME_REFUNDED, KindRefunded
		}
		mark := b.mark()
		b.close(ref, escrow, escrow.Amount)
		b.moved(mark, Movement{Kind: kind, Job: ref.job})
		b.events = append(b.events, Event{
			Kind: Settled, Operator: ref.operator, Job: ref.job,
			Settlement: Settlement{Outcome: outcome, Client: escrow.Client, Refunded: escrow.Amount},
		})
	}
}

// maxPrunedPerBlock bounds the orders and the transactions forgotten in one block, each.
const maxPrunedPerBlock = 10_000

// prune forgets the orders and transactions of minutes that have passed: they have expired.
func (b *Block) prune() {
	passed := b.nowUS()/minuteUS - 1
	if passed < 0 {
		return
	}
	for _, key := range first(b.entries, keyMinute, timeEnd(keyMinute, passed), maxPrunedPerBlock) {
		b.remove(key)
		b.remove(replayKey(refAtEnd(key)))
	}
	for _, key := range first(b.entries, keyTxMinute, timeEnd(keyTxMinute, passed), maxPrunedPerBlock) {
		b.remove(key)
		b.remove(txKey(bodyAtEnd(key)))
	}
}
