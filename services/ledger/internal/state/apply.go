package state

import (
	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// TxResult is how a transaction ended.
type TxResult struct {
	// Hash is SHA-256 of its bytes.
	Hash aitbc.Hash
	// Code is zero when its messages were looked at; else Detail says why not, for people.
	Code   ledgerv1.ResultCode
	Detail string
	// Signer is zero when the bytes are not a transaction.
	Signer aitbc.AccountID
	// Messages are its messages' results in order; none when Code is not zero.
	Messages []MessageResult
}

// MessageResult is how one message ended.
type MessageResult struct {
	// Kind is its field's name in the contract, such as "submit_job".
	Kind string
	// Job is the job it is about, if any.
	Job aitbc.JobID
	// Code is zero when it was applied; else Detail says why not, for people.
	Code   ledgerv1.ResultCode
	Detail string
}

// Applied reports whether any message was applied.
func (r TxResult) Applied() bool {
	for _, m := range r.Messages {
		if m.Code == ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
			return true
		}
	}
	return false
}

// Verdict gives the code that the mempool answers with: that of the transaction, else that of its
// first message when none was applied.
func (r TxResult) Verdict() (ledgerv1.ResultCode, string) {
	if len(r.Messages) > 0 && !r.Applied() {
		return r.Messages[0].Code, r.Messages[0].Detail
	}
	return r.Code, r.Detail
}

// Check applies a transaction and takes all of it back when no message was applied.
func (b *Block) Check(raw []byte) TxResult {
	mark := b.mark()
	result := b.Apply(raw)
	if !result.Applied() {
		b.rollback(mark)
	}
	return result
}

// CheckBy does what Check does by another verifier. undo takes back all that it did; it may be called as
// long as the block was not used again.
func (b *Block) CheckBy(verify Verifier, raw []byte) (result TxResult, undo func()) {
	before, mark, log := *b, b.mark(), b.log.clone()
	b.verify = verify
	result = b.Check(raw)
	b.verify = before.verify
	return result, func() {
		b.rollback(mark)
		b.log, b.logNodes, b.events, b.movements = log, before.logNodes, before.events, before.movements
	}
}

// Apply applies a transaction.
func (b *Block) Apply(raw []byte) TxResult {
	e, no := openTx(raw)
	if no != nil {
		return TxResult{Hash: hashOf(raw), Code: no.code, Detail: no.detail}
	}
	result := TxResult{Hash: e.hash, Signer: e.signer}
	if no := b.admit(e); no != nil {
		result.Code, result.Detail = no.code, no.detail
		return result
	}
	result.Messages = make([]MessageResult, len(e.body.GetMessages()))
	for i, m := range e.body.GetMessages() {
		r := &result.Messages[i]
		r.Kind, r.Job = kindOf(m)
		mark := b.mark()
		no := b.expand(e, m)
		if no == nil {
			no = b.dispatch(e, i, m, r.Kind)
		}
		if no != nil {
			b.rollback(mark)
			r.Code, r.Detail = no.code, no.detail
			continue
		}
		b.moved(mark, Movement{Kind: r.Kind, Job: r.Job, TxHash: e.hash, Message: i})
	}
	return result
}

// expand gives a message what it inherits from the one of its kind before it. Under rules that do not
// know of it, the message is one that cannot be read, as for a program that has never heard of it.
func (b *Block) expand(e *envelope, m *ledgerv1.Message) *refusal {
	if b.base.params.RulesVersion < aitbc.RulesInherit {
		if inherits(m) {
			return malformed("a field that these rules do not know: inherits")
		}
		return nil
	}
	if err := e.expander.Expand(m); err != nil {
		return malformed("%v", err)
	}
	return nil
}

// inherits reports whether the field is there, whatever it says.
func inherits(m *ledgerv1.Message) bool {
	switch v := m.GetMessage().(type) {
	case *ledgerv1.Message_SubmitJob:
		return v.SubmitJob.Inherits != nil //nolint:protogetter // nil: not set
	case *ledgerv1.Message_RecordReceipt:
		return v.RecordReceipt.Inherits != nil //nolint:protogetter // nil: not set
	default:
		return false
	}
}

func (b *Block) dispatch(e *envelope, index int, m *ledgerv1.Message, kind string) *refusal {
	if kind == kindUnknown {
		return malformed("a message, or a field of one, that is not known here")
	}
	switch v := m.GetMessage().(type) {
	case *ledgerv1.Message_Transfer:
		return b.transfer(e.signer, v.Transfer)
	case *ledgerv1.Message_GrantAllowance:
		// Distinct for every grant of the account: the sequence is used up by this transaction.
		generation := e.body.GetSequence()*MaxMessages + uint64(index)
		return b.grantAllowance(e.signer, generation, v.GrantAllowance)
	case *ledgerv1.Message_RevokeAllowance:
		return b.revokeAllowance(e.signer, v.RevokeAllowance)
	case *ledgerv1.Message_RegisterOperator:
		return b.registerOperator(e.signer, v.RegisterOperator)
	case *ledgerv1.Message_RegisterMiner:
		return b.registerMiner(e.signer, v.RegisterMiner)
	case *ledgerv1.Message_BondStake:
		return b.bondStake(e.signer, v.BondStake)
	case *ledgerv1.Message_UnbondStake:
		return b.unbondStake(e.signer, v.UnbondStake)
	case *ledgerv1.Message_RotateKey:
		return b.rotateKey(e.signer, v.RotateKey)
	case *ledgerv1.Message_SubmitEvidence:
		return b.submitEvidence(v.SubmitEvidence)
	case *ledgerv1.Message_UpdateParams:
		return b.updateParams(e.signer, v.UpdateParams)
	case *ledgerv1.Message_UpdateValidators:
		return b.updateValidators(e.signer, v.UpdateValidators)
	case *ledgerv1.Message_SubmitJob:
		return b.submitJob(e, v.SubmitJob)
	case *ledgerv1.Message_RecordReceipt:
		return b.recordReceipt(e, v.RecordReceipt)
	case *ledgerv1.Message_RefundJob:
		return b.refundJob(e, v.RefundJob)
	default:
		return malformed("a message that is not known here")
	}
}
