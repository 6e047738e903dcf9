package e2e

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// orderOf is an order for a second of compute at most, made by hand.
func orderOf(t *testing.T, status *ledgerv1.GetStatusResponse, client, operator aitbc.AccountID, settle time.Duration) aitbc.Order {
	t.Helper()
	job, err := aitbc.NewJobID(time.Now(), rand.Reader)
	require.NoError(t, err)
	now := time.UnixMicro(status.GetLedgerTimeUs())
	return aitbc.Order{
		ChainID: status.GetChainId(), Client: client, Operator: operator, JobID: job, PayloadCommitment: aitbc.Hash{1},
		Price: 1_000_000, MaxPrice: 1_000_000, ExecutionLimitUS: time.Second.Microseconds(),
		SettleByUS: now.Add(settle).UnixMicro(), ExpiresUS: now.Add(time.Minute).UnixMicro(),
	}
}

func submitOf(o aitbc.Order, signature []byte) *ledgerv1.Message {
	return &ledgerv1.Message{Message: &ledgerv1.Message_SubmitJob{SubmitJob: &ledgerv1.SubmitJob{
		Client: o.Client[:], JobId: o.JobID[:], PayloadCommitment: o.PayloadCommitment[:], PriceUaitbc: int64(o.Price),
		MaxPriceUaitbc: int64(o.MaxPrice), ExecutionLimitUs: o.ExecutionLimitUS, SettleByUs: o.SettleByUS, ExpiresUs: o.ExpiresUS,
		ClientSignature: signature,
	}}}
}

// acceptedRecord puts an accepted result of a quarter of a second into a miner's spool, as its daemon
// leaves it there: lease, result and acceptance, each behind its length.
func acceptedRecord(t *testing.T, state string, o aitbc.Order, operator ed25519.PrivateKey, miner party) {
	t.Helper()
	lease := aitbc.Lease{
		ChainID: o.ChainID, OrderHash: o.Hash(), JobID: o.JobID, Attempt: 1, Operator: o.Operator, Miner: miner.id,
		Model: "tiny:latest", ModelDigest: aitbc.Hash{2}, IssuedUS: 7,
	}
	statement := aitbc.Statement{
		ChainID: o.ChainID, JobID: o.JobID, Attempt: 1, LeaseHash: lease.Hash(), ResultCommitment: aitbc.Hash{3},
		Model: lease.Model, ModelDigest: lease.ModelDigest, ComputeUS: 250_000, Engine: "ollama/0",
	}
	acceptance := aitbc.Acceptance{ChainID: o.ChainID, JobID: o.JobID, StatementHash: statement.Hash(), MeteredUS: 250_000}
	var file bytes.Buffer
	for _, m := range []proto.Message{
		&coordinatorv1.Lease{
			LeaseId: lease.ID(), JobId: o.JobID.String(), Attempt: 1, Body: lease.SigningBytes(),
			Signature: aitbc.Sign(operator, lease.SigningBytes()), OrderBody: o.SigningBytes(),
		},
		&coordinatorv1.AttemptResult{
			LeaseId: lease.ID(), StatementBody: statement.SigningBytes(), StatementSignature: aitbc.Sign(miner.key, statement.SigningBytes()),
		},
		&coordinatorv1.Acceptance{Body: acceptance.SigningBytes(), Signature: aitbc.Sign(operator, acceptance.SigningBytes()), MeteredUs: 250_000},
	} {
		_, err := protodelim.MarshalTo(&file, m)
		require.NoError(t, err)
	}
	folder := filepath.Join(state, "miner", "spool", "accepted")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, lease.ID()), file.Bytes(), 0o600))
}

// startLoneMiner starts a miner whose coordinator is not there.
func startLoneMiner(t *testing.T, state, keyFile, ledger string) {
	t.Helper()
	command := exec.Command(filepath.Join(programs, "aitbcd"), "miner", "--state", state, "--log-dir", state, "--key-file", keyFile,
		"--listen", "127.0.0.1:0", "--coordinators", "127.0.0.1:1", "--ollama-url", "http://127.0.0.1:1", "--ledger", ledger)
	log := &bytes.Buffer{}
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		require.NoError(t, command.Process.Signal(syscall.SIGTERM))
		_ = command.Wait() // how it ends without coordinator and engine is another test's
		if t.Failed() {
			t.Logf("log of the miner:\n%s", log)
		}
	})
}
