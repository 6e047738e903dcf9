package ledgertest

import (
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// Order is an order of "client" to "operator" for a minute of compute at 20,000 a second.
func Order(job aitbc.JobID, now time.Time) aitbc.Order {
	return aitbc.Order{
		ChainID: ChainID, Client: ID("client"), Operator: ID("operator"), JobID: job,
		PayloadCommitment: aitbc.Hash{9}, Price: 20_000, MaxPrice: 1_200_000,
		ExecutionLimitUS: time.Minute.Microseconds(),
		SettleByUS:       now.Add(10 * time.Minute).UnixMicro(),
		ExpiresUS:        now.Add(5 * time.Minute).UnixMicro(),
	}
}

// Submit makes the message of an order, without the client's signature.
func Submit(o aitbc.Order) *ledgerv1.SubmitJob {
	return &ledgerv1.SubmitJob{
		Client: o.Client[:], JobId: o.JobID[:], PayloadCommitment: o.PayloadCommitment[:],
		PriceUaitbc: int64(o.Price), MaxPriceUaitbc: int64(o.MaxPrice), ExecutionLimitUs: o.ExecutionLimitUS,
		SettleByUs: o.SettleByUS, ExpiresUs: o.ExpiresUS,
	}
}

// Work is an attempt that "miner" has finished and "operator" has accepted.
type Work struct {
	Order       aitbc.Order
	Miner       string
	ComputeUS   int64
	MeteredUS   int64
	Attempt     uint32
	FullySigned bool
	// Running says that the statement is a running one.
	Running bool
	// Salt and Result are what the miner signs for.
	Salt   aitbc.Salt
	Result []byte
}

// papers are what is signed of a piece of work.
type papers struct {
	lease      aitbc.Lease
	statement  aitbc.Statement
	acceptance aitbc.Acceptance
}

func (w Work) papers() papers {
	o, digest := w.Order, aitbc.Hash{1, 2, 3}
	lease := aitbc.Lease{
		ChainID: ChainID, OrderHash: o.Hash(), JobID: o.JobID, Attempt: w.Attempt, Operator: o.Operator,
		Miner: ID(w.Miner), Model: "tiny:latest", ModelDigest: digest, IssuedUS: 7,
	}
	statement := aitbc.Statement{
		ChainID: ChainID, JobID: o.JobID, Attempt: w.Attempt, LeaseHash: lease.Hash(),
		ResultCommitment: aitbc.Commitment(w.Salt, aitbc.ResultHash(w.Result)),
		Model:            lease.Model, ModelDigest: digest, ComputeUS: w.ComputeUS, PromptTokens: 3, OutputTokens: 4, Engine: "ollama/0",
		Running: w.Running,
	}
	acceptance := aitbc.Acceptance{ChainID: ChainID, JobID: o.JobID, StatementHash: statement.Hash(), MeteredUS: w.MeteredUS}
	return papers{lease, statement, acceptance}
}

// Receipt signs lease, statement and acceptance of the work. Only a fully signed one has the
// operator's two signatures.
func Receipt(w Work) *ledgerv1.RecordReceipt {
	p, o := w.papers(), w.Order
	m := &ledgerv1.RecordReceipt{
		JobId: o.JobID[:], Attempt: w.Attempt, Miner: p.lease.Miner[:], Model: p.lease.Model, ModelDigest: p.lease.ModelDigest[:],
		LeaseIssuedUs: p.lease.IssuedUS, ResultCommitment: p.statement.ResultCommitment[:], ComputeUs: w.ComputeUS,
		PromptTokens: 3, OutputTokens: 4, Engine: p.statement.Engine, MeteredUs: w.MeteredUS,
		StatementSignature: aitbc.Sign(Key(w.Miner), p.statement.SigningBytes()),
	}
	if w.Running {
		m.Running = &w.Running
	}
	if w.FullySigned {
		m.Operator = o.Operator[:]
		m.LeaseSignature = aitbc.Sign(Key("operator"), p.lease.SigningBytes())
		m.AcceptanceSignature = aitbc.Sign(Key("operator"), p.acceptance.SigningBytes())
	}
	return m
}

// Evidence is the work signed twice: "miner" says two compute times for one lease.
func (w Work) Evidence() *ledgerv1.SubmitEvidence {
	p := w.papers()
	another := p.statement
	another.ComputeUS++
	sign := func(name string, body []byte) []byte { return aitbc.Sign(Key(name), body) }
	return &ledgerv1.SubmitEvidence{
		OrderBody: w.Order.SigningBytes(),
		LeaseBody: p.lease.SigningBytes(), LeaseSignature: sign("operator", p.lease.SigningBytes()),
		FirstStatementBody: p.statement.SigningBytes(), FirstStatementSignature: sign(w.Miner, p.statement.SigningBytes()),
		SecondStatementBody: another.SigningBytes(), SecondStatementSignature: sign(w.Miner, another.SigningBytes()),
	}
}

// Rotation is what makes the key of another name that of an account.
func Rotation(account, next string) *ledgerv1.RotateKey {
	r := aitbc.Rotation{ChainID: ChainID, Account: ID(account), PublicKey: Public(next)}
	return &ledgerv1.RotateKey{PublicKey: r.PublicKey, Proof: aitbc.Sign(Key(next), r.SigningBytes())}
}

// Receipt gives the receipt that a coordinator shows of the work, once it is paid.
func (w Work) Receipt() *aitbc.Receipt {
	p, o := w.papers(), w.Order
	paid := aitbc.Price(micros(w.MeteredUS), o.Price, o.MaxPrice)
	return &aitbc.Receipt{
		ID: o.JobID.ReceiptID(), JobID: o.JobID, Client: o.Client, Operator: o.Operator, Miner: p.lease.Miner,
		Paid: paid, Refunded: o.MaxPrice - paid, ResultHash: aitbc.ResultHash(w.Result), Attempt: w.Attempt,
		Model: p.lease.Model, ModelDigest: p.lease.ModelDigest,
		Meter: aitbc.Meter{
			Metered: micros(w.MeteredUS), Compute: micros(w.ComputeUS), ExecutionLimit: micros(o.ExecutionLimitUS),
			PricePerSecond: o.Price, MaxPrice: o.MaxPrice, PromptTokens: 3, OutputTokens: 4,
		},
		Evidence: aitbc.Evidence{
			Order: o.SigningBytes(), Salt: w.Salt[:], OperatorKey: Public("operator"), MinerKey: Public(w.Miner),
			Lease: p.lease.SigningBytes(), LeaseSignature: aitbc.Sign(Key("operator"), p.lease.SigningBytes()),
			Statement: p.statement.SigningBytes(), StatementSignature: aitbc.Sign(Key(w.Miner), p.statement.SigningBytes()),
			Acceptance: p.acceptance.SigningBytes(), AcceptanceSignature: aitbc.Sign(Key("operator"), p.acceptance.SigningBytes()),
		},
	}
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

// Message wraps one of the messages. It panics for anything else.
func Message(m any) *ledgerv1.Message {
	switch v := m.(type) {
	case *ledgerv1.Transfer:
		return &ledgerv1.Message{Message: &ledgerv1.Message_Transfer{Transfer: v}}
	case *ledgerv1.GrantAllowance:
		return &ledgerv1.Message{Message: &ledgerv1.Message_GrantAllowance{GrantAllowance: v}}
	case *ledgerv1.RevokeAllowance:
		return &ledgerv1.Message{Message: &ledgerv1.Message_RevokeAllowance{RevokeAllowance: v}}
	case *ledgerv1.RegisterOperator:
		return &ledgerv1.Message{Message: &ledgerv1.Message_RegisterOperator{RegisterOperator: v}}
	case *ledgerv1.RegisterMiner:
		return &ledgerv1.Message{Message: &ledgerv1.Message_RegisterMiner{RegisterMiner: v}}
	case *ledgerv1.BondStake:
		return &ledgerv1.Message{Message: &ledgerv1.Message_BondStake{BondStake: v}}
	case *ledgerv1.UnbondStake:
		return &ledgerv1.Message{Message: &ledgerv1.Message_UnbondStake{UnbondStake: v}}
	case *ledgerv1.RotateKey:
		return &ledgerv1.Message{Message: &ledgerv1.Message_RotateKey{RotateKey: v}}
	case *ledgerv1.SubmitEvidence:
		return &ledgerv1.Message{Message: &ledgerv1.Message_SubmitEvidence{SubmitEvidence: v}}
	case *ledgerv1.UpdateParams:
		return &ledgerv1.Message{Message: &ledgerv1.Message_UpdateParams{UpdateParams: v}}
	case *ledgerv1.UpdateValidators:
		return &ledgerv1.Message{Message: &ledgerv1.Message_UpdateValidators{UpdateValidators: v}}
	case *ledgerv1.SubmitJob:
		return &ledgerv1.Message{Message: &ledgerv1.Message_SubmitJob{SubmitJob: v}}
	case *ledgerv1.RecordReceipt:
		return &ledgerv1.Message{Message: &ledgerv1.Message_RecordReceipt{RecordReceipt: v}}
	case *ledgerv1.RefundJob:
		return &ledgerv1.Message{Message: &ledgerv1.Message_RefundJob{RefundJob: v}}
	default:
		panic("not a message of the ledger")
	}
}
