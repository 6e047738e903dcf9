package state

import (
	"crypto/sha256"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

const minuteUS = 60 * 1_000_000

func hashOf(b []byte) aitbc.Hash { return sha256.Sum256(b) }

// submitJob makes an escrow. That an operator's repeat is answered by DUPLICATE_JOB before
// anything else is looked at lets it resend without harm.
func (b *Block) submitJob(e *envelope, m *ledgerv1.SubmitJob) *refusal {
	order, no := b.order(e.signer, m)
	if no != nil {
		return no
	}
	if no := b.mustBeOperator(e.signer); no != nil {
		return no
	}
	ref := jobRef{operator: order.Operator, job: order.JobID}
	_, open := b.entries.Get(escrowKey(ref))
	_, used := b.entries.Get(replayKey(ref))
	if open || used {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_DUPLICATE_JOB, "the operator used %s before", order.JobID)
	}
	if no := b.checkOrder(order); no != nil {
		return no
	}
	escrow := Escrow{
		Client:           order.Client,
		Amount:           order.MaxPrice,
		Price:            order.Price,
		ExecutionLimitUS: order.ExecutionLimitUS,
		SettleByUS:       order.SettleByUS,
		OrderHash:        order.Hash(),
	}
	if no := b.authorise(order, m, &escrow); no != nil {
		return no
	}
	if no := b.debit(order.Client, order.MaxPrice); no != nil {
		return no
	}
	minute := order.ExpiresUS / minuteUS
	b.put(replayKey(ref), encodeInt(minute))
	b.put(timeKey(keyMinute, minute, ref), present)
	b.put(escrowKey(ref), escrow.encode())
	b.put(timeKey(keyDue, escrow.dueUS(), ref), present)
	b.events = append(b.events, Event{Kind: Escrowed, Operator: ref.operator, Job: ref.job, TxHash: e.hash})
	return nil
}

// order rebuilds what the client authorised.
func (b *Block) order(operator aitbc.AccountID, m *ledgerv1.SubmitJob) (aitbc.Order, *refusal) {
	client, no := accountField("client", m.GetClient())
	if no != nil {
		return aitbc.Order{}, no
	}
	job, no := jobField(m.GetJobId())
	if no != nil {
		return aitbc.Order{}, no
	}
	commitment, no := hashField("payload_commitment", m.GetPayloadCommitment())
	return aitbc.Order{
		ChainID:           b.base.info.ChainID,
		Client:            client,
		Operator:          operator,
		JobID:             job,
		PayloadCommitment: commitment,
		Price:             aitbc.Amount(m.GetPriceUaitbc()),
		MaxPrice:          aitbc.Amount(m.GetMaxPriceUaitbc()),
		ExecutionLimitUS:  m.GetExecutionLimitUs(),
		SettleByUS:        m.GetSettleByUs(),
		ExpiresUS:         m.GetExpiresUs(),
	}, no
}

// checkOrder holds an order to the parameters. The execution limit is compared first: what comes
// after adds it to times.
func (b *Block) checkOrder(o aitbc.Order) *refusal {
	if no := b.checkExpiry(o.ExpiresUS); no != nil {
		return no
	}
	outOfRange := func(format string, args ...any) *refusal {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_OUT_OF_RANGE, format, args...)
	}
	p, now := b.base.params, b.nowUS()
	if o.Price < p.MinPrice || o.Price > p.MaxPrice {
		return outOfRange("price is %s, want %s to %s", o.Price, p.MinPrice, p.MaxPrice)
	}
	if o.MaxPrice <= 0 {
		return outOfRange("max_price is %s, want more than nothing", o.MaxPrice)
	}
	if o.ExecutionLimitUS <= 0 || o.ExecutionLimitUS > p.MaxSettleAheadUS {
		return outOfRange("execution limit is %d us, want 1 to %d", o.ExecutionLimitUS, p.MaxSettleAheadUS)
	}
	earliest, latest := now+o.ExecutionLimitUS+p.MinGraceUS, now+p.MaxSettleAheadUS
	if o.SettleByUS < earliest || o.SettleByUS > latest {
		return outOfRange("settle_by is %d, want %d to %d", o.SettleByUS, earliest, latest)
	}
	return nil
}

// authorise finds the client's consent: its signature of the order, else its allowance.
func (b *Block) authorise(o aitbc.Order, m *ledgerv1.SubmitJob, escrow *Escrow) *refusal {
	account, there := b.account(o.Client)
	if !there {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_UNKNOWN_ACCOUNT, "client %s does not exist", o.Client)
	}
	if len(m.GetClientSignature()) == 0 {
		grant, no := b.spend(o.Client, o.Operator, o.MaxPrice)
		escrow.ByGrant, escrow.Generation, escrow.Day = true, grant.Generation, grant.Day
		return no
	}
	key := account.PublicKey
	if len(key) == 0 {
		key = m.GetClientPublicKey()
	}
	if !keyIs(account, o.Client, key) || !b.verify(key, o.SigningBytes(), m.GetClientSignature()) {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_SIGNATURE, "the client's signature of the order does not check")
	}
	if len(account.PublicKey) == 0 {
		account.PublicKey = key
		b.putAccount(o.Client, account)
	}
	return nil
}

// refundJob starts the refund window: until it ends, a receipt still wins, so that no operator can
// take an accepted result and refund.
func (b *Block) refundJob(e *envelope, m *ledgerv1.RefundJob) *refusal {
	job, no := jobField(m.GetJobId())
	if no != nil {
		return no
	}
	if len(m.GetReason()) > maxReasonBytes {
		return malformed("reason has %d bytes, at most %d", len(m.GetReason()), maxReasonBytes)
	}
	if no := b.mustBeOperator(e.signer); no != nil {
		return no
	}
	ref := jobRef{operator: e.signer, job: job}
	escrow, open := load(b.entries, escrowKey(ref), readEscrow)
	if !open {
		return notOpen(job)
	}
	if escrow.RefundFinalUS != 0 {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_ALREADY_REFUNDING, "the refund of %s is final at %d", job, escrow.RefundFinalUS)
	}
	if b.nowUS() > escrow.SettleByUS {
		return tooLate(job, escrow)
	}
	b.remove(timeKey(keyDue, escrow.dueUS(), ref))
	escrow.RefundFinalUS = min(b.nowUS()+b.base.params.RefundWindowUS, escrow.SettleByUS)
	b.put(timeKey(keyDue, escrow.dueUS(), ref), present)
	b.put(escrowKey(ref), escrow.encode())
	b.events = append(b.events, Event{Kind: RefundAsked, Operator: ref.operator, Job: ref.job, TxHash: e.hash})
	return nil
}

func notOpen(job aitbc.JobID) *refusal {
	return refuse(ledgerv1.ResultCode_RESULT_CODE_NOT_OPEN, "the operator has no open escrow for %s", job)
}

func tooLate(job aitbc.JobID, e Escrow) *refusal {
	return refuse(ledgerv1.ResultCode_RESULT_CODE_TOO_LATE, "%s was to be settled by %d", job, e.SettleByUS)
}

// close ends an escrow: what was not paid goes back to the client and to the grant.
func (b *Block) close(ref jobRef, e Escrow, refunded aitbc.Amount) {
	b.remove(escrowKey(ref))
	b.remove(timeKey(keyDue, e.dueUS(), ref))
	if refunded > 0 {
		b.credit(e.Client, refunded)
	}
	b.giveBack(ref.operator, e, refunded)
	b.plantInClose(ref, e, refunded)
}
