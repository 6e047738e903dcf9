package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func TestAStatementExplainsTheBalance(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	account := clientAccount(t, n)
	id := submit(t, n, seedJob())
	job := awaitStatus(t, n, id, "completed")
	limit, paid := amount(t, job.text("max_price")), amount(t, job.text("cost"))
	require.Positive(t, paid)

	// Over REST, an entry a page.
	var entries []statementEntry
	for path := "/v1/account/statement?page_size=1"; ; {
		page := call(t, n, http.MethodGet, path, nil, asClient()...)
		require.Equal(t, http.StatusOK, page.Status, "%v", page.Body)
		require.Len(t, page.Body["entries"], 1)
		entries = append(entries, statementOf(t, page.Body)...)
		if page.text("next_page_token") == "" {
			break
		}
		path = "/v1/account/statement?page_size=1&page_token=" + page.text("next_page_token")
	}

	receipt, escrow := entries[0], entries[1]
	require.Equal(t, []string{"record_receipt", id, "submit_job", id}, []string{receipt.Kind, receipt.JobID, escrow.Kind, escrow.JobID})
	require.Equal(t, -limit, change(t, escrow.Amount))
	require.Equal(t, limit-paid, change(t, receipt.Amount), "the refund")
	require.ElementsMatch(t, []statementPosting{
		{"balance", account, (-limit).String()}, {"escrow", account, limit.String()},
	}, escrow.Postings)
	require.ElementsMatch(t, []statementPosting{
		{"escrow", account, (-limit).String()}, {"balance", account, (limit - paid).String()}, {"balance", job.text("miner_id"), paid.String()},
	}, receipt.Postings)
	var sum aitbc.Amount
	for _, e := range entries {
		sum += change(t, e.Amount)
	}
	require.Equal(t, balanceOf(t, n, account), sum)
	require.Equal(t, sum.String(), receipt.Balance)

	// The command line tells the same.
	out := cli(t, n, "account", "statement", "-o", "json")
	require.Zero(t, out.Code, out.Stderr)
	var printed map[string]any
	require.NoError(t, json.Unmarshal([]byte(out.Stdout), &printed))
	require.Equal(t, entries, statementOf(t, printed))

	bad := call(t, n, http.MethodGet, "/v1/account/statement?page_token=x", nil, asClient()...)
	require.Equal(t, http.StatusBadRequest, bad.Status, "%v", bad.Body)
	require.Equal(t, "page_token", bad.violation())
}

type statementEntry struct {
	Kind     string             `json:"kind"`
	JobID    string             `json:"job_id"`
	TxHash   string             `json:"tx_hash"`
	Amount   string             `json:"amount"`
	Balance  string             `json:"balance"`
	Postings []statementPosting `json:"postings"`
}

type statementPosting struct {
	Book      string `json:"book"`
	AccountID string `json:"account_id"`
	Amount    string `json:"amount"`
}

// statementOf reads the entries of an answer.
func statementOf(t *testing.T, answer map[string]any) []statementEntry {
	t.Helper()
	raw, err := json.Marshal(answer["entries"])
	require.NoError(t, err)
	var entries []statementEntry
	require.NoError(t, json.Unmarshal(raw, &entries))
	return entries
}

// change reads an amount that may be negative.
func change(t *testing.T, text string) aitbc.Amount {
	t.Helper()
	size, negative := strings.CutPrefix(text, "-")
	if negative {
		return -amount(t, size)
	}
	return amount(t, size)
}
