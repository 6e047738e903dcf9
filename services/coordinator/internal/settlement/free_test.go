package settlement_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/aitbc/aitbc/services/coordinator/internal/settlement"
	"github.com/aitbc/aitbc/services/coordinator/internal/settlement/settlementtest"
)

func TestSettlementWithoutALedger(t *testing.T) {
	t.Parallel()
	settlementtest.Run(t, func(*testing.T) settlementtest.Bench {
		return settlementtest.Bench{
			Cast: settlementtest.NewCast(chainID), Now: time.Now,
			Open: func(_ *testing.T, book *settlementtest.Book) settlement.Settlement {
				return settlement.NewFree(book, book, slog.New(slog.DiscardHandler))
			},
		}
	})
}
