package aitbc

import (
	"context"
	"encoding/json"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Receipt is the ledger's record that a job was done and paid. [VerifyReceipt] checks it.
// Its JSON is the contract's.
type Receipt struct {
	// ID identifies the receipt; JobID is its job.
	ID    string `json:"receipt_id"`
	JobID JobID  `json:"job_id"`
	// Client paid, Miner was paid, Operator accepted the result.
	Client   AccountID `json:"client"`
	Miner    AccountID `json:"miner"`
	Operator AccountID `json:"operator"`
	// Paid is what the miner got, Refunded what went back to the client.
	Paid     Amount `json:"amount_paid"`
	Refunded Amount `json:"amount_refunded"`
	// ResultHash is [ResultHash] of the result.
	ResultHash Hash `json:"result_hash"`
	// BlockHeight, Time and TxHash say where on the ledger it is.
	BlockHeight int64     `json:"block_height"`
	Time        time.Time `json:"timestamp"`
	TxHash      Hash      `json:"tx_hash"`
	// Meter shows how the bill came about.
	Meter Meter `json:"meter"`
	// Attempt is the attempt that was paid.
	Attempt uint32 `json:"attempt"`
	// Model and ModelDigest are what ran, by the miner's word.
	Model       string `json:"model"`
	ModelDigest Hash   `json:"model_digest"`
	// Evidence is everything signed.
	Evidence Evidence `json:"evidence"`
}

// Meter shows the parts of a bill: the metered time is the smallest of the next three.
type Meter struct {
	// Metered is the billable time.
	Metered time.Duration
	// Compute is the miner's compute time, as it signed it.
	Compute time.Duration
	// OperatorClock is the coordinator's own time from hand-over to result; not on the ledger.
	OperatorClock time.Duration
	// ExecutionLimit is the order's.
	ExecutionLimit time.Duration
	// PricePerSecond is the order's.
	PricePerSecond Amount
	// MaxPrice is the order's price limit: the escrow.
	MaxPrice Amount
	// PromptTokens and OutputTokens are what the engine counted.
	PromptTokens, OutputTokens int
}

// MarshalJSON writes the contract's names and seconds.
func (m Meter) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Metered        float64 `json:"metered_time"`
		Compute        float64 `json:"compute_time"`
		OperatorClock  float64 `json:"operator_time"`
		ExecutionLimit float64 `json:"execution_limit"`
		PricePerSecond Amount  `json:"price_per_second"`
		MaxPrice       Amount  `json:"max_price"`
		PromptTokens   int     `json:"prompt_tokens"`
		OutputTokens   int     `json:"output_tokens"`
	}{
		m.Metered.Seconds(), m.Compute.Seconds(), m.OperatorClock.Seconds(), m.ExecutionLimit.Seconds(),
		m.PricePerSecond, m.MaxPrice, m.PromptTokens, m.OutputTokens,
	})
}

// Evidence holds the signed parts of a receipt: signing bytes and Ed25519 signatures.
type Evidence struct {
	// Order is what the client authorised. OrderSignature is empty when an allowance stood for it.
	Order          []byte `json:"order_body"`
	OrderSignature []byte `json:"order_signature,omitempty"`
	// Lease is the hand-over to the miner, signed by the operator.
	Lease          []byte `json:"lease_body"`
	LeaseSignature []byte `json:"lease_signature"`
	// Statement is what the miner said it did, signed by the miner.
	Statement          []byte `json:"statement_body"`
	StatementSignature []byte `json:"statement_signature"`
	// Acceptance is the operator's, signed by it.
	Acceptance          []byte `json:"acceptance_body"`
	AcceptanceSignature []byte `json:"acceptance_signature"`
	// Salt opens the commitments of order and statement.
	Salt []byte `json:"salt"`
	// OperatorKey and MinerKey are the public keys. ClientKey comes with an OrderSignature.
	OperatorKey []byte `json:"operator_public_key"`
	MinerKey    []byte `json:"miner_public_key"`
	ClientKey   []byte `json:"client_public_key,omitempty"`
}

// Receipt reads the receipt of a job. Reason RECEIPT_NOT_FOUND: none, or not yet.
func (c *Client) Receipt(ctx context.Context, job JobID) (*Receipt, error) {
	answer, err := c.receipts.GetReceipt(ctx, &coordinatorv1.GetReceiptRequest{ReceiptId: job.ReceiptID()})
	if err != nil {
		return nil, err
	}
	return receiptOf(answer.GetReceipt())
}

func receiptOf(m *coordinatorv1.Receipt) (*Receipt, error) {
	var f fieldReader
	r := &Receipt{
		ID:          m.GetReceiptId(),
		JobID:       f.jobID("job_id", m.GetJobId()),
		Client:      f.account("client", m.GetClient()),
		Miner:       f.account("miner", m.GetMiner()),
		Operator:    f.account("operator", m.GetOperator()),
		Paid:        f.amount("amount_paid", m.GetAmountPaid()),
		Refunded:    f.amount("amount_refunded", m.GetAmountRefunded()),
		ResultHash:  f.hash("result_hash", m.GetResultHash()),
		BlockHeight: int64(m.GetBlockHeight()),
		Time:        instant(m.GetTimestamp()),
		TxHash:      f.hash("tx_hash", m.GetTxHash()),
		Meter:       f.meter(m.GetMeter()),
		Attempt:     uint32(m.GetAttempt()),
		Model:       m.GetModel(),
		ModelDigest: f.hash("model_digest", m.GetModelDigest()),
		Evidence:    evidenceOf(m.GetEvidence()),
	}
	return r, f.err()
}

func (f *fieldReader) meter(m *coordinatorv1.ReceiptMeter) Meter {
	return Meter{
		Metered:        seconds(m.GetMeteredTime()),
		Compute:        seconds(m.GetComputeTime()),
		OperatorClock:  seconds(m.GetOperatorTime()),
		ExecutionLimit: seconds(m.GetExecutionLimit()),
		PricePerSecond: f.amount("meter.price_per_second", m.GetPricePerSecond()),
		MaxPrice:       f.amount("meter.max_price", m.GetMaxPrice()),
		PromptTokens:   int(m.GetPromptTokens()),
		OutputTokens:   int(m.GetOutputTokens()),
	}
}

func evidenceOf(m *coordinatorv1.ReceiptEvidence) Evidence {
	return Evidence{
		Order: m.GetOrderBody(), OrderSignature: m.GetOrderSignature(),
		Lease: m.GetLeaseBody(), LeaseSignature: m.GetLeaseSignature(),
		Statement: m.GetStatementBody(), StatementSignature: m.GetStatementSignature(),
		Acceptance: m.GetAcceptanceBody(), AcceptanceSignature: m.GetAcceptanceSignature(),
		Salt: m.GetSalt(), OperatorKey: m.GetOperatorPublicKey(), MinerKey: m.GetMinerPublicKey(),
		ClientKey: m.GetClientPublicKey(),
	}
}
