package app

import (
	"context"
	"encoding/hex"
	"log/slog"
	"strings"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// maxLoggedJobs bounds the job ids of one log line.
const maxLoggedJobs = 20

// report logs one line for each transaction of a committed block and counts them.
func (a *App) report(ctx context.Context, p *pending) {
	for _, tx := range p.block.Txs {
		code, detail := tx.Verdict()
		a.deps.Metrics.transactions.WithLabelValues(codeName(code)).Inc()
		kinds, jobs, refused := summary(tx)
		attrs := []slog.Attr{
			slog.String(obs.KeyTxHash, hex.EncodeToString(tx.Hash[:])),
			slog.Int64(obs.KeyHeight, p.block.Height),
			slog.String(obs.KeyCode, codeName(code)),
			slog.String("signer", signerOf(tx)),
			slog.Any("messages", kinds),
			slog.Int("refused", refused),
			slog.Any("job_ids", jobs),
		}
		if detail != "" {
			attrs = append(attrs, slog.String("detail", detail))
		}
		a.deps.Logger.LogAttrs(ctx, slog.LevelInfo, "transaction", attrs...)
	}
	for _, e := range p.block.Events {
		if e.Kind == state.Settled && e.TxHash == (aitbc.Hash{}) {
			a.deps.Logger.LogAttrs(ctx, slog.LevelInfo, "escrow returned",
				slog.Int64(obs.KeyHeight, p.block.Height),
				slog.String(obs.KeyJobID, e.Job.String()),
				slog.String("outcome", e.Settlement.Outcome.String()),
				slog.String("amount", e.Settlement.Refunded.String()))
		}
	}
}

// summary gives the kinds of a transaction's messages, their jobs and how many were refused.
func summary(tx state.TxResult) (kinds, jobs []string, refused int) {
	for _, m := range tx.Messages {
		if m.Code != ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
			refused++
		}
		if len(kinds) < maxLoggedJobs {
			kinds = append(kinds, m.Kind)
			if m.Job != (aitbc.JobID{}) {
				jobs = append(jobs, m.Job.String())
			}
		}
	}
	return kinds, jobs, refused
}

func signerOf(tx state.TxResult) string {
	if tx.Signer.IsZero() {
		return ""
	}
	return tx.Signer.String()
}

// codeName is a result code as logs and metrics show it.
func codeName(code ledgerv1.ResultCode) string {
	if code == ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
		return "OK"
	}
	return strings.TrimPrefix(code.String(), "RESULT_CODE_")
}
