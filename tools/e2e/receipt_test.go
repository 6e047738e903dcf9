package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/devnet/network"
)

// proofReport is what the command line tells of a proof in JSON.
type proofReport struct {
	JobID        string `json:"job_id"`
	BlockHeight  int64  `json:"block_height"`
	BlockHash    string `json:"block_hash"`
	LogSize      int    `json:"log_size"`
	ChainChecked bool   `json:"chain_checked"`
}

// receiptCommand runs `aitbc receipt` against the network.
func receiptCommand(t *testing.T, n *network.Network, args ...string) output {
	t.Helper()
	environment := []string{"AITBC_URL=http://" + n.CoordinatorREST, "AITBC_LEDGER=" + n.LedgerGRPC, "AITBC_API_KEY=" + clientKey}
	return execute(t, environment, filepath.Join(programs, "aitbc"), append([]string{"receipt"}, args...)...)
}

// receipt runs `aitbc receipt` as receiptCommand does, and records it. Folders are not shown.
func (r *recording) receipt(n *network.Network, args ...string) output {
	r.t.Helper()
	shown := make([]string, len(args))
	for i, arg := range args {
		shown[i] = filepath.Base(arg)
	}
	r.line("$", "aitbc receipt "+strings.Join(shown, " "))
	out := receiptCommand(r.t, n, args...)
	for text := range strings.Lines(out.Stdout + out.Stderr) {
		for _, arg := range args {
			text = strings.ReplaceAll(text, arg, filepath.Base(arg))
		}
		r.line("|", strings.TrimSuffix(text, "\n"))
	}
	return out
}

// blockHash is what CometBFT's own RPC says of a height: where a verifier would take it from.
func blockHash(t *testing.T, n *network.Network, height int64) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.LedgerRPC+"/commit?height="+strconv.FormatInt(height, 10), http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var answer struct {
		Result struct {
			SignedHeader struct {
				Commit struct {
					BlockID struct {
						Hash string `json:"hash"`
					} `json:"block_id"`
				} `json:"commit"`
			} `json:"signed_header"`
		} `json:"result"`
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	return strings.ToLower(answer.Result.SignedHeader.Commit.BlockID.Hash)
}

func verified(t *testing.T, n *network.Network, file, hash string) proofReport {
	t.Helper()
	args := []string{"verify", file, "-o", "json"}
	if hash != "" {
		args = append(args, "--block-hash", hash)
	}
	out := receiptCommand(t, n, args...)
	require.Zero(t, out.Code, out.Stderr)
	var report proofReport
	require.NoError(t, json.Unmarshal([]byte(out.Stdout), &report))
	require.Equal(t, hash != "", report.ChainChecked)
	return report
}

func completeOne(t *testing.T, n *network.Network) string {
	t.Helper()
	out := cli(t, n, "run", "--prompt", question, "--model", "tiny")
	require.Zero(t, out.Code, out.Stderr)
	return line(out.Stdout, "Job ID: ")
}

func TestAReceiptIsProvenRefreshedAndCheckedOffline(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	id := completeOne(t, n)
	first, second := filepath.Join(t.TempDir(), "first.json"), filepath.Join(t.TempDir(), "second.json")

	r := newRecording(t, "receipt", "TestAReceiptIsProvenRefreshedAndCheckedOffline")
	exported := r.receipt(n, "export", id, "-o", first)
	require.Zero(t, exported.Code, exported.Stderr)
	early := verified(t, n, first, "")
	require.Equal(t, id, early.JobID)
	firstHash := blockHash(t, n, early.BlockHeight)
	require.Equal(t, firstHash, verified(t, n, first, firstHash).BlockHash)

	// A later header commits to more receipts, this one among them.
	content, err := os.ReadFile(first)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(second, content, 0o600))
	next := receiptCommand(t, n, "verify", completeOne(t, n)) // when that can be proven, the log has both
	require.Zero(t, next.Code, next.Stderr)
	refreshed := receiptCommand(t, n, "refresh", second)
	require.Zero(t, refreshed.Code, refreshed.Stderr)
	late := verified(t, n, second, "")
	require.Greater(t, late.BlockHeight, early.BlockHeight)
	require.Equal(t, early.LogSize+1, late.LogSize)
	secondHash := blockHash(t, n, late.BlockHeight)
	verified(t, n, second, secondHash)
	require.Equal(t, 9, receiptCommand(t, n, "verify", second, "--block-hash", firstHash).Code)
	r.note("block " + strconv.FormatInt(early.BlockHeight, 10) + " has the hash " + firstHash + ", by any node of the ledger")
	online := r.receipt(n, "verify", id, "--block-hash", firstHash)
	require.Zero(t, online.Code, online.Stderr)
	require.Contains(t, online.Stdout, "Chain: checked")

	require.NoError(t, n.Stop())
	r.note("the whole network is stopped")
	require.Zero(t, r.receipt(n, "verify", first, "--block-hash", firstHash).Code)
	verified(t, n, first, firstHash)
	verified(t, n, second, secondHash)
	require.Equal(t, 8, receiptCommand(t, n, "refresh", second).Code, "there is nobody to ask")
	changed := filepath.Join(t.TempDir(), "changed.json")
	for at := 0; at < len(content); at += 97 {
		flipped := append([]byte{}, content...)
		flipped[at] ^= 1
		require.NoError(t, os.WriteFile(changed, flipped, 0o600))
		refused := receiptCommand(t, n, "verify", changed, "--block-hash", firstHash)
		require.Equal(t, 9, refused.Code, "byte %d", at)
		require.Contains(t, refused.Stderr, "the receipt does not check: ")
	}
	flipped := append([]byte{}, content...)
	flipped[len(flipped)/2] ^= 1
	require.NoError(t, os.WriteFile(changed, flipped, 0o600))
	r.note("changed.json is first.json with one bit flipped")
	require.Equal(t, 9, r.receipt(n, "verify", changed, "--block-hash", firstHash).Code)
	r.save()
}
