package aitbc_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/aitbctest"
)

var question = aitbc.SubmitRequest{Prompt: "What is machine learning?", Model: "llama3.2:latest"}

// onBoth runs a test over REST and over gRPC, each against a server of its own.
func onBoth(t *testing.T, cfg aitbctest.Config, test func(t *testing.T, client *aitbc.Client)) {
	t.Helper()
	for name, target := range map[string]func(*aitbctest.Server) string{
		"REST": (*aitbctest.Server).URL, "gRPC": (*aitbctest.Server).Target,
	} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t, cfg)
			test(t, newClient(t, target(server)))
		})
	}
}

func startServer(t *testing.T, cfg aitbctest.Config) *aitbctest.Server {
	t.Helper()
	server, err := aitbctest.Start(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

func newClient(t *testing.T, target string, opts ...aitbc.Option) *aitbc.Client {
	t.Helper()
	client, err := aitbc.New(target, append([]aitbc.Option{aitbc.WithAPIKey(aitbctest.APIKey)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

func ptr[T any](v T) *T { return &v }

func TestRunGivesTheSeedsAnswer(t *testing.T) {
	t.Parallel()
	onBoth(t, aitbctest.Config{}, func(t *testing.T, client *aitbc.Client) {
		job, err := client.Run(t.Context(), question)
		require.NoError(t, err)
		require.Equal(t, aitbc.StatusCompleted, job.Status)
		require.Equal(t, "Machine learning is a subset of artificial intelligence...", job.Result)
		require.Equal(t, job.ID.ReceiptID(), job.ReceiptID)
		require.Equal(t, aitbc.Amount(250_000), job.Cost)
		require.Equal(t, 17*time.Second, job.CompletedTime.Sub(job.SubmittedTime))
		require.Equal(t, 12500*time.Millisecond, job.Metrics.ComputeTime)
		require.Nil(t, job.Failure)

		receipt, err := client.Receipt(t.Context(), job.ID)
		require.NoError(t, err)
		require.NoError(t, aitbc.VerifyReceipt(receipt, []byte(job.Result)))

		account, err := client.Account(t.Context())
		require.NoError(t, err)
		require.Equal(t, aitbc.Amount(99_750_000), account.Balance)
	})
}

func TestAStatementSumsToTheBalance(t *testing.T) {
	t.Parallel()
	onBoth(t, aitbctest.Config{}, func(t *testing.T, client *aitbc.Client) {
		job, err := client.Run(t.Context(), question)
		require.NoError(t, err)
		account, err := client.Account(t.Context())
		require.NoError(t, err)

		var kinds []string
		var sum aitbc.Amount
		for entry, err := range client.Statement(t.Context()) {
			require.NoError(t, err)
			if len(kinds) == 0 {
				require.Equal(t, account.Balance, *entry.Balance)
				require.Equal(t, job.ID, entry.JobID)
				require.Equal(t, job.CompletedTime, entry.Time)
				require.NotZero(t, entry.TxHash)
			}
			var all aitbc.Amount
			for _, p := range entry.Postings {
				all += p.Amount
			}
			require.Zero(t, all, "%+v", entry)
			sum += entry.Amount
			kinds = append(kinds, entry.Kind)
		}
		require.Equal(t, []string{"record_receipt", "submit_job", "genesis"}, kinds)
		require.Equal(t, account.Balance, sum)
	})
}

func TestRequestArrivesWhole(t *testing.T) {
	t.Parallel()
	sent := aitbc.SubmitRequest{
		Prompt: "Grüße \u2028 <|end|>", Model: "library/llama3.2:latest", MaxPrice: 250_000, RequestID: "once",
		ModelDigest: aitbc.Hash{1},
		Timeouts:    aitbc.Timeouts{Queue: 90 * time.Second, Execution: 1500 * time.Millisecond, Total: time.Hour},
		Options: aitbc.Options{
			Temperature: ptr(0.0), NumPredict: ptr[int32](500), TopP: ptr(0.9), TopK: ptr[int32](40), MinP: ptr(0.1),
			RepeatPenalty: ptr(1.1), Seed: ptr[int32](0), Stop: []string{"<|end|>"},
		},
	}
	got := make(chan aitbc.SubmitRequest, 2) // one for each transport
	cfg := aitbctest.Config{Answer: func(_ context.Context, req aitbc.SubmitRequest) (aitbctest.Answer, error) {
		got <- req
		return aitbctest.Answer{}, nil
	}}
	onBoth(t, cfg, func(t *testing.T, client *aitbc.Client) {
		first, err := client.Submit(t.Context(), sent)
		require.NoError(t, err)
		require.Equal(t, sent, <-got)

		again, err := client.Submit(t.Context(), sent)
		require.NoError(t, err)
		require.Equal(t, first.JobID, again.JobID)

		other := sent
		other.Prompt = "something else"
		_, err = client.Submit(t.Context(), other)
		requireReason(t, err, aitbc.ReasonIdempotencyMismatch)
	})
}

func requireReason(t *testing.T, err error, want aitbc.Reason) *aitbc.Error {
	t.Helper()
	var failure *aitbc.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, want, failure.Reason, failure.Error())
	return failure
}

func TestExplanationsOfTheTestServer(t *testing.T) {
	t.Parallel()
	onBoth(t, aitbctest.Config{}, func(t *testing.T, client *aitbc.Client) {
		job, err := client.Run(t.Context(), question)
		require.NoError(t, err)
		explained, err := client.Explain(t.Context(), job.ID)
		require.NoError(t, err)
		require.Equal(t, []string{"queued", "running", "done"}, []string{explained.Steps[0].Phase, explained.Steps[1].Phase, explained.Steps[2].Phase})
		require.Equal(t, job.Cost, explained.Money.Paid)
		miner, err := client.ExplainMiner(t.Context(), job.MinerID)
		require.NoError(t, err)
		require.Equal(t, job.MinerID, miner.MinerID)
		_, err = client.ExplainMiner(t.Context(), aitbc.AccountID{1})
		requireReason(t, err, "MINER_NOT_FOUND")
	})
}

func TestErrorsAreTheSameOnBothTransports(t *testing.T) {
	t.Parallel()
	cfg := aitbctest.Config{Answer: func(_ context.Context, req aitbc.SubmitRequest) (aitbctest.Answer, error) {
		switch req.Model {
		case "missing":
			return aitbctest.Answer{}, &aitbc.Error{Reason: aitbc.ReasonModelNotFound, Message: "no miner has it"}
		case "broken":
			return aitbctest.Answer{}, &aitbc.JobError{Reason: "ENGINE_ERROR", Message: "the engine failed"}
		}
		return aitbctest.Answer{}, errors.New("secret of the server")
	}}
	onBoth(t, cfg, func(t *testing.T, client *aitbc.Client) {
		_, err := client.Submit(t.Context(), aitbc.SubmitRequest{Model: "m"})
		failure := requireReason(t, err, aitbc.ReasonInvalidField)
		require.Equal(t, codes.InvalidArgument, failure.Code)
		require.Equal(t, []aitbc.FieldError{{Field: "prompt", Message: "must be 1 to 262144 bytes"}}, failure.Fields)
		require.Equal(t, "req-SubmitJob", failure.RequestID)
		require.Equal(t, 1, failure.Tries)

		_, err = client.Submit(t.Context(), aitbc.SubmitRequest{Model: "missing", Prompt: "p"})
		require.Equal(t, codes.NotFound, requireReason(t, err, aitbc.ReasonModelNotFound).Code)
		_, err = client.Submit(t.Context(), aitbc.SubmitRequest{Model: "m", Prompt: "p"})
		require.NotContains(t, requireReason(t, err, aitbc.ReasonInternal).Error(), "secret")
		_, err = client.Submit(t.Context(), aitbc.SubmitRequest{Model: "m", Prompt: "p", MaxPrice: 101 * aitbc.UnitsPerCoin})
		require.Equal(t, codes.FailedPrecondition, requireReason(t, err, aitbc.ReasonInsufficientFunds).Code)
		_, err = client.Get(t.Context(), someJob)
		requireReason(t, err, aitbc.ReasonJobNotFound)
		_, err = client.Receipt(t.Context(), someJob)
		requireReason(t, err, aitbc.ReasonReceiptNotFound)

		job, err := client.Run(t.Context(), aitbc.SubmitRequest{Model: "broken", Prompt: "p"})
		var ended *aitbc.JobError
		require.ErrorAs(t, err, &ended)
		require.Equal(t, aitbc.Reason("ENGINE_ERROR"), ended.Reason)
		require.Equal(t, job.ID, ended.JobID)
		require.Equal(t, job.MaxPrice, job.Refund.Amount)
		require.Zero(t, job.Cost)
	})
}

func TestWrongKeyIsRefused(t *testing.T) {
	t.Parallel()
	server := startServer(t, aitbctest.Config{})
	for _, target := range []string{server.URL(), server.Target(), "grpc://" + server.Target()} {
		for _, key := range []string{"", "another"} {
			client := newClient(t, target, aitbc.WithAPIKey(key))
			_, err := client.Account(t.Context())
			require.Equal(t, codes.Unauthenticated, requireReason(t, err, aitbc.ReasonInvalidKey).Code)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	onBoth(t, aitbctest.Config{}, func(t *testing.T, client *aitbc.Client) {
		submitted, err := client.Submit(t.Context(), question)
		require.NoError(t, err)
		job, err := client.Cancel(t.Context(), submitted.JobID)
		require.NoError(t, err)
		require.Equal(t, aitbc.StatusCancelled, job.Status)
		require.Equal(t, aitbc.ReasonCancelled, job.Failure.Reason)

		done, err := client.Run(t.Context(), question)
		require.NoError(t, err)
		_, err = client.Cancel(t.Context(), done.ID)
		requireReason(t, err, aitbc.ReasonWrongState)
	})
}

func TestJobsWalksAllPagesAndStopsWhenTold(t *testing.T) {
	t.Parallel()
	onBoth(t, aitbctest.Config{}, func(t *testing.T, client *aitbc.Client) {
		ids := map[aitbc.JobID]bool{}
		for range 5 {
			submitted, err := client.Submit(t.Context(), question)
			require.NoError(t, err)
			ids[submitted.JobID] = true
		}
		done, err := client.Run(t.Context(), question)
		require.NoError(t, err)

		list := func(filter aitbc.JobFilter, most int) (seen []*aitbc.Job) {
			for job, err := range client.Jobs(t.Context(), filter) {
				require.NoError(t, err)
				if seen = append(seen, job); len(seen) == most {
					break
				}
			}
			return seen
		}
		require.Len(t, list(aitbc.JobFilter{PageSize: 2}, 100), 6)
		require.Len(t, list(aitbc.JobFilter{PageSize: 2}, 3), 3)
		completed := list(aitbc.JobFilter{Status: aitbc.StatusCompleted}, 100)
		require.Len(t, completed, 1)
		require.Equal(t, done.ID, completed[0].ID)
		require.Empty(t, completed[0].Result)
	})
}

func TestNetworkIsShown(t *testing.T) {
	t.Parallel()
	onBoth(t, aitbctest.Config{}, func(t *testing.T, client *aitbc.Client) {
		models, err := client.Models(t.Context())
		require.NoError(t, err)
		require.Len(t, models, 1)
		require.Equal(t, "llama3.2:latest", models[0].Name)
		miners, err := client.Miners(t.Context())
		require.NoError(t, err)
		require.Len(t, miners, 1)
		require.Equal(t, aitbc.Amount(10_000_000), miners[0].Stake)
		require.Equal(t, models[0].Digests[0], miners[0].Models[0].Digest)
	})
}

func TestJSONIsTheContracts(t *testing.T) {
	t.Parallel()
	client := newClient(t, startServer(t, aitbctest.Config{}).URL())
	job, err := client.Run(t.Context(), question)
	require.NoError(t, err)
	receipt, err := client.Receipt(t.Context(), job.ID)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		value any
		keys  []string
	}{
		"job": {job, []string{
			`"job_id":"job_`, `"status":"completed"`, `"receipt_id":"receipt_`, `"completed_at":"20`, `"cost":"0.25aitbc"`,
			`"compute_time":12.5`, `"tokens_generated":150`,
		}},
		"receipt": {receipt, []string{
			`"amount_paid":"0.25aitbc"`, `"block_height":12345`, `"metered_time":12.5`, `"result_hash":"`,
			`"client":"aitbc1`, `"timestamp":"20`,
		}},
	} {
		encoded, err := json.Marshal(c.value)
		require.NoError(t, err)
		for _, key := range c.keys {
			require.Contains(t, string(encoded), key, name)
		}
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"127.0.0.1:18002", "localhost:18002", "[::1]:18002", "coordinator.example:18002", "grpc://10.0.0.1:18002",
		"grpcs://coordinator.example:443", "http://127.0.0.1:18000", "https://coordinator.example", "https://example.org/aitbc/",
	} {
		client, err := aitbc.New(good)
		require.NoError(t, err, good)
		require.NoError(t, client.Close())
	}
	for _, bad := range []string{
		"", "coordinator.example", "ftp://127.0.0.1:1", "grpc://coordinator.example", "grpc://h:1/path", "http://", "http://h/?q=1",
		"http://key@h", "http://h#f", "http://h\x7f", "://", "grpc:///h:1",
	} {
		_, err := aitbc.New(bad)
		require.ErrorIs(t, err, aitbc.ErrMalformed, bad)
	}
	_, err := aitbc.New("127.0.0.1:1", aitbc.WithRetry(aitbc.RetryPolicy{MaxRetries: -1}))
	require.ErrorIs(t, err, aitbc.ErrMalformed)
}

func TestNobodyListening(t *testing.T) {
	t.Parallel()
	server, err := aitbctest.Start(aitbctest.Config{})
	require.NoError(t, err)
	targets := []string{server.URL(), "grpc://" + server.Target()}
	require.NoError(t, server.Close())
	for _, target := range targets {
		quick := aitbc.RetryPolicy{MaxRetries: 3, FirstDelay: time.Millisecond, MaxDelay: time.Second}
		_, err := newClient(t, target, aitbc.WithRetry(quick)).Account(t.Context())
		failure := requireReason(t, err, aitbc.ReasonUnreachable)
		require.Equal(t, 4, failure.Tries)
		require.Contains(t, failure.Message, target)
		require.Contains(t, failure.Message, "connection refused")
	}
}

func TestBigResultsArrive(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("\u0001", 1<<20)
	cfg := aitbctest.Config{Answer: func(context.Context, aitbc.SubmitRequest) (aitbctest.Answer, error) {
		return aitbctest.Answer{Text: big}, nil
	}}
	onBoth(t, cfg, func(t *testing.T, client *aitbc.Client) {
		job, err := client.Run(t.Context(), question)
		require.NoError(t, err)
		require.Equal(t, big, job.Result)
	})
}
