// Package coordinatortest is the coordinator's end of a miner's session, for tests: an operator that
// signs leases and acceptances, and a server that speaks the protocol exactly as docs/protocol.md
// says and leaves what to say to the test.
//
// Start at [Start] and [Operator.Lease].
package coordinatortest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// ChainID is the ledger that the operator works on.
const ChainID = "aitbc-test"

// Operator signs what an operator signs.
type Operator struct {
	// Key is its ledger key.
	Key ed25519.PrivateKey
}

// NewOperator makes one.
func NewOperator(t testing.TB) Operator {
	t.Helper()
	return Operator{Key: NewKey(t)}
}

// NewKey makes a key.
func NewKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

// Account gives a key's account.
func Account(key ed25519.PrivateKey) aitbc.AccountID {
	return aitbc.AccountOf(key.Public().(ed25519.PublicKey))
}

// Job says what a lease is for. Zero fields get values that work.
type Job struct {
	// Miner, Model and Digest are required.
	Miner  aitbc.AccountID
	Model  string
	Digest string
	// Prompt defaults to a question.
	Prompt string
	// Attempt defaults to 1.
	Attempt uint32
	// ID defaults to a new one.
	ID aitbc.JobID
	// Limit defaults to a minute.
	Limit time.Duration
	// SettleAtLimit says that the client set the limit.
	SettleAtLimit bool
	// Options are the client's.
	Options *coordinatorv1.JobOptions
}

func (j Job) withDefaults(t testing.TB) Job {
	t.Helper()
	if j.Prompt == "" {
		j.Prompt = "What is machine learning?"
	}
	if j.Attempt == 0 {
		j.Attempt = 1
	}
	if j.Limit == 0 {
		j.Limit = time.Minute
	}
	if j.ID == (aitbc.JobID{}) {
		id, err := aitbc.NewJobID(time.Now(), rand.Reader)
		require.NoError(t, err)
		j.ID = id
	}
	if j.Options == nil {
		zero, seed := 0.0, int32(1)
		j.Options = &coordinatorv1.JobOptions{Temperature: &zero, Seed: &seed}
	}
	return j
}

// Lease makes a signed lease of an order that matches it.
func (o Operator) Lease(t testing.TB, j Job) *coordinatorv1.Lease {
	t.Helper()
	j = j.withDefaults(t)
	var salt aitbc.Salt
	_, err := rand.Read(salt[:])
	require.NoError(t, err)
	payload, err := aitbc.Payload{
		Type: "inference", Model: j.Model, Prompt: j.Prompt,
		Options: aitbc.Options{
			Temperature: j.Options.Temperature, NumPredict: j.Options.NumPredict, TopP: j.Options.TopP, TopK: j.Options.TopK,
			MinP: j.Options.MinP, RepeatPenalty: j.Options.RepeatPenalty, Seed: j.Options.Seed, Stop: j.Options.Stop,
		},
	}.Hash()
	require.NoError(t, err)
	order := aitbc.Order{
		ChainID: ChainID, Operator: Account(o.Key), JobID: j.ID, PayloadCommitment: aitbc.Commitment(salt, payload),
		Price: 20_000, MaxPrice: 6_000_000, ExecutionLimitUS: j.Limit.Microseconds(),
		SettleByUS: time.Now().Add(time.Hour).UnixMicro(), ExpiresUS: time.Now().Add(time.Minute).UnixMicro(),
	}
	digest, err := hex.DecodeString(j.Digest)
	require.NoError(t, err)
	lease := aitbc.Lease{
		ChainID: ChainID, OrderHash: order.Hash(), JobID: j.ID, Attempt: j.Attempt, Operator: Account(o.Key),
		Miner: j.Miner, Model: j.Model, ModelDigest: aitbc.Hash(digest), IssuedUS: time.Now().UnixMicro(),
	}
	body := lease.SigningBytes()
	return &coordinatorv1.Lease{
		LeaseId: lease.ID(), JobId: j.ID.String(), Attempt: int32(j.Attempt), Body: body, Signature: aitbc.Sign(o.Key, body),
		OrderBody: order.SigningBytes(), Salt: salt[:], Type: "inference", Prompt: j.Prompt, Model: j.Model, ModelDigest: j.Digest,
		Options: j.Options, ExecutionLimit: durationpb.New(j.Limit), IssuedAt: timestamppb.New(time.UnixMicro(lease.IssuedUS)),
		SettleAtLimit: j.SettleAtLimit,
	}
}

// RequireStatement requires that the result is the miner's signed word about that lease, and
// gives its statement.
func RequireStatement(t testing.TB, miner ed25519.PrivateKey, lease *coordinatorv1.Lease, result *coordinatorv1.AttemptResult) aitbc.Statement {
	t.Helper()
	require.Equal(t, lease.GetLeaseId(), result.GetLeaseId())
	require.True(t, aitbc.Verify(miner.Public().(ed25519.PublicKey), result.GetStatementBody(), result.GetStatementSignature()))
	statement, err := aitbc.ParseStatement(result.GetStatementBody())
	require.NoError(t, err)
	signed, err := aitbc.ParseLease(lease.GetBody())
	require.NoError(t, err)
	require.Equal(t, signed.Hash(), statement.LeaseHash)
	require.Equal(t, signed.JobID, statement.JobID)
	require.Equal(t, signed.Attempt, statement.Attempt)
	require.Equal(t, signed.ModelDigest, statement.ModelDigest)
	want := aitbc.Commitment(aitbc.Salt(lease.GetSalt()), aitbc.ResultHash([]byte(result.GetResult())))
	require.Equal(t, want, statement.ResultCommitment)
	return statement
}

// Acceptance makes the operator's acceptance of a result.
func (o Operator) Acceptance(t testing.TB, result *coordinatorv1.AttemptResult) *coordinatorv1.Acceptance {
	t.Helper()
	statement, err := aitbc.ParseStatement(result.GetStatementBody())
	require.NoError(t, err)
	body := aitbc.Acceptance{
		ChainID: statement.ChainID, JobID: statement.JobID, StatementHash: statement.Hash(), MeteredUS: statement.ComputeUS,
	}.SigningBytes()
	return &coordinatorv1.Acceptance{Body: body, Signature: aitbc.Sign(o.Key, body), MeteredUs: statement.ComputeUS}
}
