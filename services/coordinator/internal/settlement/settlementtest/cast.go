// Package settlementtest holds implementations of settlement.Settlement to their contract, and has
// what their tests need: jobs in the states that owe something (Cast) and a coordinator reduced to
// its outbox (Book). Start with Run.
package settlementtest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// MaxPrice is the escrow of every job, Compute what an accepted one took and Price what a second
// of it costs.
const (
	MaxPrice = aitbc.Amount(6_000_000)
	Price    = aitbc.Amount(20_000)
	Compute  = 12_500 * time.Millisecond
	// Paid is what Compute costs.
	Paid = aitbc.Amount(250_000)
)

// Life of an order and of its escrow.
const (
	OrderLife = 5 * time.Minute
	SettleIn  = 20 * time.Minute
)

// Cast is who takes part: the same keys in every test.
type Cast struct {
	ChainID                 string
	Client, Operator, Miner ed25519.PrivateKey
	jobs                    uint32
}

// NewCast gives the cast of a chain.
func NewCast(chainID string) *Cast {
	key := func(b byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
	}
	return &Cast{ChainID: chainID, Client: key(1), Operator: key(2), Miner: key(3)}
}

// Account gives a key's account.
func Account(key ed25519.PrivateKey) aitbc.AccountID {
	public := key[ed25519.PrivateKeySize-ed25519.PublicKeySize:]
	return aitbc.AccountOf(ed25519.PublicKey(public))
}

// Job makes a job that was just submitted, by the ledger's clock.
func (c *Cast) Job(t testing.TB, now time.Time) job.Job {
	t.Helper()
	c.jobs++
	var entropy [10]byte
	binary.BigEndian.PutUint32(entropy[:], c.jobs)
	id, err := aitbc.NewJobID(now, bytes.NewReader(entropy[:]))
	require.NoError(t, err)
	return job.Job{
		ID: id,
		Order: aitbc.Order{
			ChainID: c.ChainID, Client: Account(c.Client), Operator: Account(c.Operator), JobID: id,
			Price: Price, MaxPrice: MaxPrice, ExecutionLimitUS: (5 * time.Minute).Microseconds(),
			SettleByUS: now.Add(SettleIn).UnixMicro(), ExpiresUS: now.Add(OrderLife).UnixMicro(),
		},
		Type: aitbc.TypeInference, Model: "tiny:latest", MaxAttempts: 3,
		QueueTimeout: time.Minute, TotalTimeout: 6 * time.Minute,
		Phase: job.Escrowing, SubmittedAt: now,
	}
}

// Accept brings a queued job to an accepted result.
func (c *Cast) Accept(t testing.TB, j job.Job, now time.Time) (job.Job, job.Message) {
	t.Helper()
	miner := Account(c.Miner)
	j, _, err := j.LeasedTo(now, miner, aitbc.Hash{7})
	require.NoError(t, err)
	j, _, err = j.Started(now, miner, j.Attempt)
	require.NoError(t, err)
	statement := aitbc.Statement{
		ChainID: c.ChainID, JobID: j.ID, Attempt: j.Attempt, LeaseHash: j.Lease().Hash(),
		ResultCommitment: aitbc.Hash{9}, Model: j.Model, ModelDigest: j.ModelDigest,
		ComputeUS: Compute.Microseconds() + 1, PromptTokens: 3, OutputTokens: 5, Engine: "ollama/0.17.4",
	}
	j, owes, err := j.Accepted(job.Completion{
		Statement: statement, Signature: aitbc.Sign(c.Miner, statement.SigningBytes()),
		MeteredUS: Compute.Microseconds(), At: now,
	})
	require.NoError(t, err)
	return j, owes
}
