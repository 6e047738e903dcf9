package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/devnet/network"
	"github.com/aitbc/aitbc/tools/internal/debian"
)

const pythonFolder = "../../clients/python"

// python gives a command of the Python client's folder, without the caches that Python would leave.
func python(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program, err := debian.Program(t.Context(), "python3", "python3")
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), program, append([]string{"-B"}, args...)...)
	command.Dir = pythonFolder
	return command
}

// pythonClient runs the seed document's client with the seed document's flags.
func pythonClient(t *testing.T, n *network.Network, args ...string) output {
	t.Helper()
	flags := []string{"-B", filepath.Join(pythonFolder, "client.py"), "--url", "http://" + n.CoordinatorREST, "--api-key", clientKey}
	return execute(t, nil, python(t).Path, append(flags, args...)...)
}

func TestThePythonClientsOwnTests(t *testing.T) {
	t.Parallel()
	out, err := python(t, "-m", "unittest", "discover", "-s", ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "\nOK")
}

func TestTheSeedsPythonClient(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)

	submitted := pythonClient(t, n, "submit", "inference", "--prompt", question, "--model", "tiny")
	require.Zero(t, submitted.Code, submitted.Stderr)
	id := line(submitted.Stdout, "Job ID: ")
	require.Equal(t, "pending", line(submitted.Stdout, "Status: "))
	awaitStatus(t, n, id, "completed")
	status := pythonClient(t, n, "status", id)
	require.Zero(t, status.Code, status.Stderr)
	require.Equal(t, cli(t, n, "status", id).Stdout, status.Stdout, "both clients print the same lines")

	streamed := pythonClient(t, n, "submit", "inference", "--prompt", question, "--model", "tiny", "--stream")
	require.Zero(t, streamed.Code, streamed.Stderr)
	require.True(t, strings.HasPrefix(line(streamed.Stdout, "Result: "), answer), streamed.Stdout)
	receipt := pythonClient(t, n, "receipt", line(streamed.Stdout, "Receipt: "))
	require.Contains(t, receipt.Stdout, `"result_hash"`, receipt.Stderr)
	for _, command := range []string{"account", "models", "jobs"} {
		out := pythonClient(t, n, command)
		require.Zero(t, out.Code, out.Stderr)
		require.NotEmpty(t, out.Stdout)
	}

	empty := pythonClient(t, n, "submit", "inference", "--prompt", "", "--model", "tiny")
	require.Equal(t, 2, empty.Code)
	require.Contains(t, empty.Stderr, "prompt")
	unknown := pythonClient(t, n, "submit", "inference", "--prompt", question)
	require.Equal(t, 3, unknown.Code, "the seed's model, which this network lacks")
	require.Contains(t, unknown.Stderr, "MODEL_NOT_FOUND")
}

func TestThePythonClientOutlivesItsCoordinator(t *testing.T) {
	t.Parallel()
	engine, drops := newFaultyEngine(t), newDripping()
	engine.set(drops.fault)
	n := start(t, engine.URL)
	const program = `
import json, sys
from aitbc import Client
text = ""
client = Client(sys.argv[1], sys.argv[2])
job_id = client.submit(sys.argv[3], model="tiny", options={"temperature": 0}).job_id
for token in client.tokens(job_id):
    assert not token.reset
    text += token.text
    print(json.dumps(token.text), flush=True)
job = client.wait(job_id)
assert job.result == text, (job.result, text)
print(job.status, flush=True)
`
	command := python(t, "-c", program, "http://"+n.CoordinatorREST, clientKey, question)
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	var complaints strings.Builder
	command.Stderr = &complaints
	require.NoError(t, command.Start())
	lines := bufio.NewScanner(stdout)
	drops.drip(4)
	require.True(t, lines.Scan(), "the first token")

	n.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, n.Restart(ctx))
	close(drops.drops)

	text, last := "", ""
	for ok := true; ok; ok = lines.Scan() {
		last = lines.Text()
		var token string
		if json.Unmarshal([]byte(last), &token) == nil {
			text += token
		}
	}
	require.NoError(t, command.Wait(), complaints.String())
	require.Equal(t, "completed", last)
	require.True(t, strings.HasPrefix(text, answer), text)
}

func TestThePythonClientOnARealNetwork(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	const program = `
import sys
from aitbc import Client, decimal
client = Client(sys.argv[1], sys.argv[2])
question = sys.argv[3]
quote = client.quote(model="tiny", max_price="0.5aitbc")
assert quote.possible and decimal(quote.max_price) == decimal("0.5aitbc"), quote
before = decimal(client.account().balance)
answer = client.chat([{"role": "user", "content": question}], model="tiny", options={"temperature": 0}, idempotency_key="chat")
assert answer.content and answer.message["role"] == "assistant", answer
again = client.chat([{"role": "user", "content": question}], model="tiny", options={"temperature": 0}, idempotency_key="chat")
assert again.job.job_id == answer.job.job_id
vectors = client.embed([question, "A cat."], model="tiny", max_price="0.5aitbc")
assert len(vectors) == 2 and len(vectors[0]) == len(vectors[1]) > 0
submitted = client.submit("Name an animal.", model="tiny", max_price="0.5aitbc")
assert decimal(submitted.available) > 0, submitted
client.wait(submitted.job_id)
entries = list(client.statement())
assert {e.job_id for e in entries if e.kind == "record_receipt"} >= {answer.job.job_id, submitted.job_id}
assert all(sum(decimal(p.amount) for p in e.postings) == 0 for e in entries)
spent = before - decimal(client.account().balance)
assert spent > 0 and sum(decimal(e.amount) for e in entries if e.job_id) == -spent, (spent, entries)
print("done")
`
	command := python(t, "-c", program, "http://"+n.CoordinatorREST, clientKey, question)
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "done")

	for _, args := range [][]string{
		{"submit", "chat", "--prompt", question, "--system", "Be brief.", "--model", "tiny", "--wait"},
		{"submit", "embedding", "--input", "A cat.", "--input", "A dog.", "--model", "tiny", "--wait"},
		{"quote", "--model", "tiny"},
		{"statement", "--limit", "3"},
	} {
		out := pythonClient(t, n, args...)
		require.Zero(t, out.Code, out.Stderr)
		require.NotEmpty(t, out.Stdout)
	}
	require.Equal(t, 6, pythonClient(t, n, "quote", "--model", "no-such-model").Code)
}
