package query

import (
	"context"
	"encoding/base64"
	"encoding/binary"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/ledger/internal/history"
)

// placeSize is the length of a page token's place: height and index.
const placeSize = 12

// ListStatementEntries implements LedgerService.
func (s *Service) ListStatementEntries(_ context.Context, req *ledgerv1.ListStatementEntriesRequest) (*ledgerv1.ListStatementEntriesResponse, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	account, err := accountID("account_id", req.GetAccountId())
	if err != nil {
		return nil, err
	}
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	// A block whose history is written but whose state is not is not committed yet.
	before := history.Place{Height: st.Height() + 1}
	if req.GetPageToken() != "" {
		raw, err := base64.RawURLEncoding.DecodeString(req.GetPageToken())
		if err != nil || len(raw) != placeSize {
			return nil, apierr.InvalidField("page_token", "want next_page_token of the page before")
		}
		token := history.Place{Height: int64(binary.BigEndian.Uint64(raw) & (1<<63 - 1)), Index: binary.BigEndian.Uint32(raw[8:])}
		if token.Height < before.Height {
			before = token
		}
	}
	entries, last, err := s.history.Statement(account, before, size+1)
	if err != nil {
		return nil, err
	}
	resp := &ledgerv1.ListStatementEntriesResponse{Entries: entries}
	if len(entries) > size {
		resp.Entries = entries[:size]
		// The one too many was read first of the next page: it begins right behind it.
		last.Index++
		token := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, uint64(last.Height)), last.Index)
		resp.NextPageToken = base64.RawURLEncoding.EncodeToString(token)
	}
	return resp, nil
}
