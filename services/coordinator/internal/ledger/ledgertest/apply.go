package ledgertest

import (
	"time"

	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

const ok = ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED

// check gives the refusal of a transaction that would apply nothing; nil: it is taken. What the
// application does on a copy of its state is found here by the codes of a dry run.
func (c *Chain) check(raw []byte, hash aitbc.Hash) *ctypes.ResultBroadcastTx {
	body, code := c.open(raw, hash)
	if code != ok {
		return &ctypes.ResultBroadcastTx{Code: uint32(code), Log: code.String()}
	}
	c.expand(body)
	answer := &ledgerv1.GetTransactionResponse{}
	for _, m := range body.GetMessages() {
		code := c.message(aitbc.AccountID(body.GetSigner()), m, hash, true)
		if code == ok && c.drained && m.GetSubmitJob() != nil {
			code = ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_FUNDS
		}
		if code == ok {
			return nil
		}
		answer.Results = append(answer.Results, &ledgerv1.MessageResult{Code: code})
	}
	data, err := proto.Marshal(answer)
	if err != nil { // codes only
		panic(err)
	}
	first := answer.GetResults()[0].GetCode()
	return &ctypes.ResultBroadcastTx{Code: uint32(first), Data: data, Log: first.String()}
}

func (c *Chain) open(raw []byte, hash aitbc.Hash) (*ledgerv1.TxBody, ledgerv1.ResultCode) {
	var tx ledgerv1.Tx
	var body ledgerv1.TxBody
	if proto.Unmarshal(raw, &tx) != nil || proto.Unmarshal(tx.GetBody(), &body) != nil || len(body.GetSigner()) != 20 {
		return nil, ledgerv1.ResultCode_RESULT_CODE_MALFORMED
	}
	expires := time.UnixMicro(body.GetExpiresUs())
	switch {
	case body.GetChainId() != c.id:
		return nil, ledgerv1.ResultCode_RESULT_CODE_WRONG_CHAIN
	case expires.Before(c.clock), expires.After(c.clock.Add(maxExpiry)):
		return nil, ledgerv1.ResultCode_RESULT_CODE_EXPIRED
	case aitbc.AccountOf(tx.GetPublicKey()) != aitbc.AccountID(body.GetSigner()),
		!aitbc.Verify(tx.GetPublicKey(), aitbc.TxSigningBytes(tx.GetBody()), tx.GetSignature()):
		return nil, ledgerv1.ResultCode_RESULT_CODE_BAD_SIGNATURE
	}
	if body.GetSequence() != 0 && body.GetSequence() != c.account(aitbc.AccountID(body.GetSigner())).NextSequence {
		return nil, ledgerv1.ResultCode_RESULT_CODE_BAD_SEQUENCE
	}
	if len(c.txs[hash].GetResults()) > 0 {
		return nil, ledgerv1.ResultCode_RESULT_CODE_DUPLICATE_TX
	}
	return &body, ok
}

func (c *Chain) apply(raw []byte, hash aitbc.Hash) (ledgerv1.ResultCode, []*ledgerv1.MessageResult) {
	body, code := c.open(raw, hash)
	if code != ok {
		return code, nil
	}
	c.inherited += c.expand(body)
	signer := aitbc.AccountID(body.GetSigner())
	if body.GetSequence() != 0 {
		c.account(signer).NextSequence++
	}
	results := make([]*ledgerv1.MessageResult, len(body.GetMessages()))
	for i, m := range body.GetMessages() {
		results[i] = &ledgerv1.MessageResult{Code: c.message(signer, m, hash, false)}
	}
	return ok, results
}

// expand gives the messages what they inherit, and says how many do. Those that cannot be read, or not by
// these rules, are emptied: they are malformed.
func (c *Chain) expand(body *ledgerv1.TxBody) (inherit int) {
	var x aitbc.Expander
	for _, m := range body.GetMessages() {
		inherits := m.GetSubmitJob().GetInherits() | m.GetRecordReceipt().GetInherits()
		if inherits != 0 {
			inherit++
		}
		if (inherits != 0 && c.rules < aitbc.RulesInherit) || x.Expand(m) != nil {
			m.Reset()
		}
	}
	return inherit
}

// message applies one message, or says only how it would end.
func (c *Chain) message(signer aitbc.AccountID, m *ledgerv1.Message, hash aitbc.Hash, dry bool) ledgerv1.ResultCode {
	switch v := m.GetMessage().(type) {
	case *ledgerv1.Message_Transfer:
		return c.transfer(signer, v.Transfer, dry)
	case *ledgerv1.Message_GrantAllowance:
		if !dry {
			c.grants[signer] = &ledgerv1.Allowance{
				ClientId: signer.String(), OperatorId: aitbc.AccountID(v.GrantAllowance.GetOperator()).String(),
				RemainingUaitbc: v.GrantAllowance.GetCapUaitbc(),
			}
		}
		return ok
	case *ledgerv1.Message_SubmitJob:
		return c.submit(signer, v.SubmitJob, hash, dry)
	case *ledgerv1.Message_RecordReceipt:
		return c.receipt(signer, v.RecordReceipt, hash, dry)
	case *ledgerv1.Message_RefundJob:
		return c.refund(v.RefundJob, hash, dry)
	default:
		return ledgerv1.ResultCode_RESULT_CODE_MALFORMED
	}
}

func (c *Chain) transfer(from aitbc.AccountID, m *ledgerv1.Transfer, dry bool) ledgerv1.ResultCode {
	if c.account(from).BalanceUaitbc < m.GetAmountUaitbc() {
		return ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_FUNDS
	}
	if !dry {
		c.account(from).BalanceUaitbc -= m.GetAmountUaitbc()
		c.account(aitbc.AccountID(m.GetTo())).BalanceUaitbc += m.GetAmountUaitbc()
	}
	return ok
}

func (c *Chain) submit(operator aitbc.AccountID, m *ledgerv1.SubmitJob, hash aitbc.Hash, dry bool) ledgerv1.ResultCode {
	order := aitbc.Order{
		ChainID: c.id, Client: aitbc.AccountID(m.GetClient()), Operator: operator, JobID: aitbc.JobID(m.GetJobId()),
		PayloadCommitment: aitbc.Hash(m.GetPayloadCommitment()),
		Price:             aitbc.Amount(m.GetPriceUaitbc()), MaxPrice: aitbc.Amount(m.GetMaxPriceUaitbc()),
		ExecutionLimitUS: m.GetExecutionLimitUs(), SettleByUS: m.GetSettleByUs(), ExpiresUS: m.GetExpiresUs(),
	}
	grant := c.grants[order.Client]
	signed := len(m.GetClientSignature()) > 0
	switch {
	case c.escrows[order.JobID] != nil || c.settlements[order.JobID] != nil:
		return ledgerv1.ResultCode_RESULT_CODE_DUPLICATE_JOB
	case order.ExpiresUS < c.clock.UnixMicro():
		return ledgerv1.ResultCode_RESULT_CODE_EXPIRED
	case c.accounts[order.Client] == nil:
		return ledgerv1.ResultCode_RESULT_CODE_UNKNOWN_ACCOUNT
	case signed && !aitbc.Verify(m.GetClientPublicKey(), order.SigningBytes(), m.GetClientSignature()):
		return ledgerv1.ResultCode_RESULT_CODE_BAD_SIGNATURE
	case !signed && grant.GetRemainingUaitbc() < m.GetMaxPriceUaitbc():
		return ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_ALLOWANCE
	case c.accounts[order.Client].BalanceUaitbc < m.GetMaxPriceUaitbc():
		return ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_FUNDS
	case dry:
		return ok
	}
	if !signed {
		grant.RemainingUaitbc -= m.GetMaxPriceUaitbc()
	}
	c.accounts[order.Client].BalanceUaitbc -= m.GetMaxPriceUaitbc()
	orderHash := order.Hash()
	c.escrows[order.JobID] = &ledgerv1.Escrow{
		JobId: order.JobID.String(), ClientId: order.Client.String(), OperatorId: operator.String(),
		AmountUaitbc: m.GetMaxPriceUaitbc(), PriceUaitbc: m.GetPriceUaitbc(),
		ExecutionLimitUs: m.GetExecutionLimitUs(), SettleByUs: m.GetSettleByUs(),
		OrderHash: orderHash[:], TxHash: hash[:],
	}
	return ok
}

func (c *Chain) receipt(operator aitbc.AccountID, m *ledgerv1.RecordReceipt, hash aitbc.Hash, dry bool) ledgerv1.ResultCode {
	id := aitbc.JobID(m.GetJobId())
	escrow := c.escrows[id]
	if escrow == nil {
		return ledgerv1.ResultCode_RESULT_CODE_NOT_OPEN
	}
	lease := aitbc.Lease{
		ChainID: c.id, OrderHash: aitbc.Hash(escrow.GetOrderHash()), JobID: id, Attempt: m.GetAttempt(),
		Operator: operator, Miner: aitbc.AccountID(m.GetMiner()),
		Model: m.GetModel(), ModelDigest: aitbc.Hash(m.GetModelDigest()), IssuedUS: m.GetLeaseIssuedUs(),
	}
	statement := aitbc.Statement{
		ChainID: c.id, JobID: id, Attempt: m.GetAttempt(), LeaseHash: lease.Hash(),
		ResultCommitment: aitbc.Hash(m.GetResultCommitment()), Model: m.GetModel(), ModelDigest: lease.ModelDigest,
		ComputeUS: m.GetComputeUs(), PromptTokens: m.GetPromptTokens(), OutputTokens: m.GetOutputTokens(),
		Engine: m.GetEngine(), Stopped: m.GetStopped(), Running: m.GetRunning(),
	}
	switch {
	case escrow.GetSettleByUs() < c.clock.UnixMicro():
		return ledgerv1.ResultCode_RESULT_CODE_TOO_LATE
	case m.GetMeteredUs() > m.GetComputeUs():
		return ledgerv1.ResultCode_RESULT_CODE_BAD_METER
	case !aitbc.Verify(c.miners[lease.Miner], statement.SigningBytes(), m.GetStatementSignature()):
		return ledgerv1.ResultCode_RESULT_CODE_BAD_STATEMENT
	case dry:
		return ok
	}
	paid := aitbc.Price(time.Duration(m.GetMeteredUs())*time.Microsecond,
		aitbc.Amount(escrow.GetPriceUaitbc()), aitbc.Amount(escrow.GetAmountUaitbc()))
	c.account(lease.Miner).BalanceUaitbc += int64(paid)
	c.end(id, ledgerv1.Settlement_OUTCOME_PAID, int64(paid), hash[:])
	return ok
}

func (c *Chain) refund(m *ledgerv1.RefundJob, hash aitbc.Hash, dry bool) ledgerv1.ResultCode {
	escrow := c.escrows[aitbc.JobID(m.GetJobId())]
	switch {
	case escrow == nil:
		return ledgerv1.ResultCode_RESULT_CODE_NOT_OPEN
	case escrow.GetRefundFinalUs() != 0:
		return ledgerv1.ResultCode_RESULT_CODE_ALREADY_REFUNDING
	case escrow.GetSettleByUs() < c.clock.UnixMicro():
		return ledgerv1.ResultCode_RESULT_CODE_TOO_LATE
	case dry:
		return ok
	}
	escrow.RefundFinalUs = c.clock.Add(RefundWindow).UnixMicro()
	escrow.RefundTxHash = hash[:]
	return ok
}

// end closes an escrow: the miner has been paid, the rest goes back.
func (c *Chain) end(id aitbc.JobID, outcome ledgerv1.Settlement_Outcome, paid int64, tx []byte) {
	escrow := c.escrows[id]
	delete(c.escrows, id)
	client, err := aitbc.ParseAccountID(escrow.GetClientId())
	if err != nil { // it was written by submit
		panic(err)
	}
	back := escrow.GetAmountUaitbc() - paid
	c.account(client).BalanceUaitbc += back
	if grant := c.grants[client]; grant != nil {
		grant.RemainingUaitbc += back
	}
	c.settlements[id] = &ledgerv1.Settlement{
		JobId: id.String(), ClientId: escrow.GetClientId(), OperatorId: escrow.GetOperatorId(),
		Outcome: outcome, PaidUaitbc: paid, RefundedUaitbc: back,
		Height: c.height, BlockTimeUs: c.clock.UnixMicro(), TxHash: tx, EscrowTxHash: escrow.GetTxHash(),
	}
}

func (c *Chain) expire() {
	now := c.clock.UnixMicro()
	for id, escrow := range c.escrows {
		switch final := escrow.GetRefundFinalUs(); {
		case final != 0 && final < now:
			c.end(id, ledgerv1.Settlement_OUTCOME_REFUNDED, 0, escrow.GetRefundTxHash())
		case escrow.GetSettleByUs() < now:
			c.end(id, ledgerv1.Settlement_OUTCOME_EXPIRED, 0, nil)
		}
	}
}
