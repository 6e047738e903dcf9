package gateway_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
)

var update = flag.Bool("update", false, "write the golden files")

func leasedJob() job.Job {
	return job.Job{
		ID: jobID,
		Order: aitbc.Order{
			ChainID: "aitbc-test", Client: client, Operator: aitbc.AccountOf(operatorKey), JobID: jobID,
			Price: 20_000, MaxPrice: 6_000_000, ExecutionLimitUS: 300_000_000,
		},
		Salt: aitbc.Salt{4}, Type: aitbc.TypeInference, Model: "llama3.2:latest", MaxAttempts: 3,
		Phase: job.Leased, Attempt: 1, Miner: miner, ModelDigest: aitbc.Hash{5},
		LeaseIssuedUS: submittedAt.Add(3 * time.Second).UnixMicro(), LeaseSignature: []byte("lease signature"),
		SubmittedAt: submittedAt, QueuedAt: submittedAt.Add(time.Second), LeasedAt: submittedAt.Add(3 * time.Second),
		EscrowTx: aitbc.Hash{6},
	}
}

func completedJob() job.Job {
	j := leasedJob()
	utilization := 0.85
	j.Phase, j.Outcome = job.Done, job.StatusCompleted
	j.StartedAt, j.CompletedAt = submittedAt.Add(4*time.Second), submittedAt.Add(17*time.Second)
	j.Completion = &job.Completion{
		ResultHash: aitbc.ResultHash([]byte("Machine learning is ...")),
		Statement: aitbc.Statement{
			ChainID: "aitbc-test", JobID: jobID, Attempt: 1, LeaseHash: j.Lease().Hash(), Model: j.Model,
			ModelDigest: j.ModelDigest, ComputeUS: 12_500_000, PromptTokens: 15, OutputTokens: 150, Engine: "ollama/0.17.4",
		},
		Signature: []byte("statement signature"), MeteredUS: 12_500_000, OperatorUS: 12_734_000,
		AcceptanceSignature: []byte("acceptance signature"), GPUUtilization: &utilization, At: submittedAt.Add(16 * time.Second),
	}
	j.Settlement = &job.Settlement{
		Paid: 250_000, Refunded: 5_750_000, Height: 12345, BlockTime: submittedAt.Add(17 * time.Second),
		TxHash: aitbc.Hash{7}, HasReceipt: true,
	}
	return j
}

func failedJob() job.Job {
	j := leasedJob()
	j.Phase, j.Outcome, j.CompletedAt = job.Done, job.StatusFailed, submittedAt.Add(time.Minute)
	j.Failure = job.Failure{Reason: coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_ERROR, Message: "the engine said no"}
	j.Settlement = &job.Settlement{Refunded: 6_000_000, TxHash: aitbc.Hash{8}, RefundFinalAt: submittedAt.Add(time.Hour)}
	return j
}

// A miner may have another key by now: the receipt comes with the one that signed.
func TestAReceiptHasTheKeyThatTheMinerSignedWith(t *testing.T) {
	t.Parallel()
	w := newWorld()
	j := completedJob()
	signedWith := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	require.NotEqual(t, minerKey, signedWith)
	j.Completion.MinerKey = signedWith
	w.jobs[jobID] = j
	var got struct {
		Evidence struct {
			Key []byte `json:"miner_public_key"`
		} `json:"evidence"`
	}
	answer := serve(t, w, auth.DefaultLimitConfig()).do(t, "GET", "/v1/receipts/"+jobID.ReceiptID(), "", "X-Api-Key", clientKey)
	require.NoError(t, json.Unmarshal([]byte(readAll(t, answer)), &got))
	require.Equal(t, []byte(signedWith), got.Evidence.Key)
}

// A job whose escrow the ledger refused has no settlement, and cost as little as any other that
// was not paid.
func TestAJobWithoutAnEscrowCostNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	j := leasedJob()
	j.Phase, j.Outcome, j.CompletedAt = job.Done, job.StatusFailed, submittedAt
	w.jobs[jobID] = j
	answer := serve(t, w, auth.DefaultLimitConfig()).do(t, "GET", "/v1/jobs/"+jobID.String(), "", "X-Api-Key", clientKey)
	require.Contains(t, readAll(t, answer), `"cost":"0aitbc"`)
}

func TestGoldenAnswers(t *testing.T) {
	t.Parallel()
	waiting := leasedJob()
	waiting.Phase = job.Queued
	waiting.Failure = job.Failure{Reason: coordinatorv1.ErrorReason_ERROR_REASON_MINER_LOST, Message: "of the last attempt"}
	for name, test := range map[string]struct {
		job  job.Job
		path string
		key  []string
	}{
		"job_completed":   {completedJob(), "/v1/jobs/" + jobID.String(), []string{"X-Api-Key", clientKey}},
		"job_failed":      {failedJob(), "/v1/jobs/" + jobID.String(), []string{"X-Api-Key", clientKey}},
		"job_tried_again": {waiting, "/v1/jobs/" + jobID.String(), []string{"X-Api-Key", clientKey}},
		"job_explained":   {completedJob(), "/v1/jobs/" + jobID.String() + ":explain", []string{"X-Api-Key", clientKey}},
		"wait_explained":  {waiting, "/v1/jobs/" + jobID.String() + ":explain", []string{"X-Api-Key", clientKey}},
		"miner_explained": {leasedJob(), "/v1/miners/" + miner.String() + ":explain", []string{"X-Miner-Key", theMinerKey}},
		"receipt":         {completedJob(), "/v1/receipts/" + jobID.ReceiptID(), []string{"X-Api-Key", clientKey}},
		"account":         {completedJob(), "/v1/account", []string{"X-Api-Key", clientKey}},
		"statement":       {completedJob(), "/v1/account/statement?page_size=1&page_token=first", []string{"X-Api-Key", clientKey}},
		"keys":            {completedJob(), "/v1/keys", []string{"X-Api-Key", adminKey}},
		"leases":          {leasedJob(), "/v1/leases", []string{"X-Miner-Key", theMinerKey}},
		"miners":          {leasedJob(), "/v1/miners", []string{"X-Api-Key", clientKey}},
		"models":          {leasedJob(), "/v1/models", []string{"X-Api-Key", clientKey}},
		"model":           {leasedJob(), "/v1/models/llama3.2", []string{"X-Api-Key", clientKey}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.jobs[jobID] = test.job
			w.results[jobID] = "Machine learning is ..."
			w.leases = []dispatch.Handover{{Job: leasedJob(), Payload: job.Payload{Prompt: "What is machine learning?"}}}
			w.miners = []dispatch.MinerView{{
				ID: miner, Status: "connected", Stake: 1_000_000, Standing: scheduler.Standing{Reputation: 0.5, Held: 1},
				State: dispatch.MinerState{
					Slots: 2, Engine: "ollama/0.17.4",
					Models:  []*coordinatorv1.MinerModel{{Name: "llama3.2:latest", Digest: aitbc.Hash{5}.String(), Warm: true, SizeBytes: 9}},
					Devices: []*coordinatorv1.MinerDevice{{Name: "a processor", Kind: "cpu"}},
				},
				ConnectedAt: submittedAt,
			}}
			w.models = []dispatch.ModelView{{Name: "llama3.2:latest", Digests: []aitbc.Hash{{5}}, Miners: 1, FirstSeen: submittedAt}}
			answer := serve(t, w, auth.DefaultLimitConfig()).do(t, "GET", test.path, "", test.key...)
			require.Equal(t, 200, answer.StatusCode)
			require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
			var indented bytes.Buffer
			require.NoError(t, json.Indent(&indented, []byte(strings.TrimSpace(readAll(t, answer))), "", "  "))
			indented.WriteByte('\n')
			file := filepath.Join("testdata", name+".json")
			if *update {
				require.NoError(t, os.WriteFile(file, indented.Bytes(), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), indented.String())
		})
	}
}
