package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"path/filepath"
	"time"

	"github.com/cometbft/cometbft/types"
	"github.com/oklog/ulid/v2"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// work is transactions that follow one another: each is sent when the one before is in a block.
type work []types.Tx

// papers makes the transactions of jobs as a coordinator would: many jobs of one client, by its
// allowance or by orders that it signed, done by one miner.
type papers struct {
	chainID                 string
	operator, client, miner ed25519.PrivateKey
}

// What every job is like: an 8B model's, three seconds of compute.
const (
	jobModel     = "llama3.2:latest"
	jobEngine    = "ollama/0.17.4"
	jobPrice     = 20_000
	jobMaxPrice  = 1_200_000
	jobLimit     = time.Minute
	jobCompute   = 3 * time.Second
	jobSettleIn  = 9 * time.Minute
	jobExpiresIn = 4 * time.Minute
)

// newPapers loads the keys of a chain that `aitbcd ledger testnet` made. The client is the faucet, whose
// tokens last; it gives the operator an allowance.
func newPapers(ctx context.Context, c *chain) (*papers, error) {
	p := &papers{}
	for name, key := range map[string]*ed25519.PrivateKey{"operator": &p.operator, "faucet": &p.client, "miner": &p.miner} {
		var err error
		if *key, err = aitbc.LoadKey(filepath.Join(c.dir, "net", "keys", name+".key")); err != nil {
			return nil, err
		}
	}
	var err error
	if p.chainID, err = c.rpc.chainID(ctx); err != nil {
		return nil, err
	}
	operator := accountOf(p.operator)
	grant := &ledgerv1.GrantAllowance{Operator: operator[:], CapUaitbc: 900_000 * int64(aitbc.UnitsPerCoin)}
	tx, err := p.sign(p.client, 1, &ledgerv1.Message{Message: &ledgerv1.Message_GrantAllowance{GrantAllowance: grant}})
	if err != nil {
		return nil, err
	}
	_, err = c.rpc.send(ctx, tx)
	return p, err
}

// batch makes two transactions: n jobs' escrows, and their receipts.
func (p *papers) batch(n int, signed bool) (work, error) {
	escrows, receipts := make([]*ledgerv1.Message, n), make([]*ledgerv1.Message, n)
	now := time.Now()
	for i := range n {
		order := aitbc.Order{
			ChainID: p.chainID, Client: accountOf(p.client), Operator: accountOf(p.operator),
			JobID: aitbc.JobID(ulid.Make()), PayloadCommitment: someHash(), Price: jobPrice, MaxPrice: jobMaxPrice,
			ExecutionLimitUS: jobLimit.Microseconds(),
			SettleByUS:       now.Add(jobSettleIn).UnixMicro(), ExpiresUS: now.Add(jobExpiresIn).UnixMicro(),
		}
		escrows[i] = p.escrow(order, signed)
		receipts[i] = p.receipt(order, now)
	}
	escrow, err := p.sign(p.operator, 0, escrows...)
	if err != nil {
		return nil, err
	}
	receipt, err := p.sign(p.operator, 0, receipts...)
	return work{escrow, receipt}, err
}

func (p *papers) sign(key ed25519.PrivateKey, sequence uint64, messages ...*ledgerv1.Message) (types.Tx, error) {
	signer := accountOf(key)
	tx, _, err := aitbc.SignTx(key, &ledgerv1.TxBody{
		Version: aitbc.TxVersion, ChainId: p.chainID, Signer: signer[:],
		ExpiresUs: time.Now().Add(jobExpiresIn).UnixMicro(), Sequence: sequence, Messages: aitbc.Compact(messages),
	})
	return tx, err
}

func (p *papers) escrow(o aitbc.Order, signed bool) *ledgerv1.Message {
	m := &ledgerv1.SubmitJob{
		Client: o.Client[:], JobId: o.JobID[:], PayloadCommitment: o.PayloadCommitment[:],
		PriceUaitbc: int64(o.Price), MaxPriceUaitbc: int64(o.MaxPrice), ExecutionLimitUs: o.ExecutionLimitUS,
		SettleByUs: o.SettleByUS, ExpiresUs: o.ExpiresUS,
	}
	if signed {
		m.ClientSignature = aitbc.Sign(p.client, o.SigningBytes())
	}
	return &ledgerv1.Message{Message: &ledgerv1.Message_SubmitJob{SubmitJob: m}}
}

func (p *papers) receipt(o aitbc.Order, now time.Time) *ledgerv1.Message {
	digest := aitbc.Hash{1, 2, 3}
	lease := aitbc.Lease{
		ChainID: p.chainID, OrderHash: o.Hash(), JobID: o.JobID, Attempt: 1, Operator: o.Operator,
		Miner: accountOf(p.miner), Model: jobModel, ModelDigest: digest, IssuedUS: now.UnixMicro(),
	}
	statement := aitbc.Statement{
		ChainID: p.chainID, JobID: o.JobID, Attempt: 1, LeaseHash: lease.Hash(), ResultCommitment: someHash(),
		Model: jobModel, ModelDigest: digest, ComputeUS: jobCompute.Microseconds(), PromptTokens: 30, OutputTokens: 220, Engine: jobEngine,
	}
	return &ledgerv1.Message{Message: &ledgerv1.Message_RecordReceipt{RecordReceipt: &ledgerv1.RecordReceipt{
		JobId: o.JobID[:], Attempt: 1, Miner: lease.Miner[:], Model: lease.Model, ModelDigest: digest[:],
		LeaseIssuedUs: lease.IssuedUS, ResultCommitment: statement.ResultCommitment[:], ComputeUs: statement.ComputeUS,
		PromptTokens: statement.PromptTokens, OutputTokens: statement.OutputTokens, Engine: statement.Engine,
		MeteredUs: statement.ComputeUS, StatementSignature: aitbc.Sign(p.miner, statement.SigningBytes()),
	}}}
}

func accountOf(key ed25519.PrivateKey) aitbc.AccountID {
	return aitbc.AccountOf(key.Public().(ed25519.PublicKey))
}

func someHash() (h aitbc.Hash) {
	_, _ = rand.Read(h[:]) // it never fails
	return h
}

// pair makes a kvstore's transaction: a key and a value of 28 and 32 characters.
func pair() types.Tx {
	h := someHash()
	text := hex.EncodeToString(h[:30])
	return types.Tx(text[:28] + "=" + text[28:])
}
