package state

import (
	"bytes"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// submitEvidence slashes a miner that signed two final statements for one lease. Running ones are
// not read: a miner signs many, and each is true. Nobody judges: an
// honest miner has its one statement on disk before it sends it, and signs no other.
func (b *Block) submitEvidence(m *ledgerv1.SubmitEvidence) *refusal {
	order, lease, no := b.readEvidence(m)
	if no != nil {
		return no
	}
	miner, registered := load(b.entries, minerKey(lease.Miner), readMiner)
	if !registered {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_NOT_MINER, "account %s is not a registered miner", lease.Miner)
	}
	if miner.SlashedUS != 0 {
		return slashed(lease.Miner, miner)
	}
	if miner.Stake+miner.unbonding() == 0 {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_STAKE, "miner %s has nothing to lose", lease.Miner)
	}
	// Without a registered operator's signature a miner could name anyone as wronged, to get half back.
	if no := b.mustBeOperator(lease.Operator); no != nil {
		return no
	}
	if _, there := b.account(order.Client); !there {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_UNKNOWN_ACCOUNT, "client %s does not exist", order.Client)
	}
	operator, _ := b.account(lease.Operator)
	if !b.signed(operator, m.GetLeaseBody(), m.GetLeaseSignature()) {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_LEASE, "the operator's signature of the lease does not check")
	}
	account, _ := b.account(lease.Miner)
	if !b.signed(account, m.GetFirstStatementBody(), m.GetFirstStatementSignature()) ||
		!b.signed(account, m.GetSecondStatementBody(), m.GetSecondStatementSignature()) {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_STATEMENT, "the miner's signature of a statement does not check")
	}
	b.slash(lease.Miner, order.Client, miner)
	return nil
}

// readEvidence reads the papers and follows the hashes from one to the next.
func (b *Block) readEvidence(m *ledgerv1.SubmitEvidence) (aitbc.Order, aitbc.Lease, *refusal) {
	bad := func(format string, args ...any) (aitbc.Order, aitbc.Lease, *refusal) {
		return aitbc.Order{}, aitbc.Lease{}, refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_EVIDENCE, format, args...)
	}
	order, err := aitbc.ParseOrder(m.GetOrderBody())
	if err != nil {
		return bad("order_body: %v", err)
	}
	lease, err := aitbc.ParseLease(m.GetLeaseBody())
	if err != nil {
		return bad("lease_body: %v", err)
	}
	if lease.ChainID != b.base.info.ChainID || lease.OrderHash != order.Hash() || lease.Operator != order.Operator {
		return bad("the lease is for another chain, order or operator")
	}
	for _, body := range [][]byte{m.GetFirstStatementBody(), m.GetSecondStatementBody()} {
		statement, err := aitbc.ParseStatement(body)
		if err != nil {
			return bad("a statement: %v", err)
		}
		if statement.ChainID != lease.ChainID || statement.LeaseHash != lease.Hash() {
			return bad("a statement is for another chain or lease")
		}
	}
	if bytes.Equal(m.GetFirstStatementBody(), m.GetSecondStatementBody()) {
		return bad("the statements are one and the same")
	}
	return order, lease, nil
}
