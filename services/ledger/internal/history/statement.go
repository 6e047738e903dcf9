package history

import (
	"encoding/binary"
	"fmt"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// Place is where a movement is in an account's statement: its block, and its place there. The zero
// place is before all others.
type Place struct {
	Height int64
	Index  uint32
}

func (p Place) bytes() []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, uint64(p.Height)), p.Index)
}

// movements remembers what a block moved, once, and for each account where.
func (w *blockWriter) movements(b Block) {
	for i, m := range b.Movements {
		place := Place{Height: b.Height, Index: uint32(i)}
		w.pending[key(keyMovement, place.bytes())] = entryProto(b, m)
		for _, p := range m.Postings {
			if p.Owner.IsZero() {
				continue
			}
			k := key(keyStatement, p.Owner[:], place.bytes())
			if p.Book == state.BookBalance {
				w.raw[k] = binary.BigEndian.AppendUint64(nil, uint64(p.After))
			} else if w.raw[k] == nil {
				w.raw[k] = []byte{}
			}
		}
	}
}

func entryProto(b Block, m state.Movement) *ledgerv1.StatementEntry {
	e := &ledgerv1.StatementEntry{Height: b.Height, BlockTimeUs: b.TimeUS, Kind: m.Kind}
	if m.TxHash != (aitbc.Hash{}) {
		e.TxHash, e.MessageIndex = m.TxHash[:], uint32(m.Message)
	}
	if m.Job != (aitbc.JobID{}) {
		e.JobId = m.Job.String()
	}
	for _, p := range m.Postings {
		posting := &ledgerv1.Posting{Book: ledgerv1.Posting_Book(p.Book), AmountUaitbc: int64(p.Amount)}
		if !p.Owner.IsZero() {
			posting.AccountId = p.Owner.String()
		}
		e.Postings = append(e.Postings, posting)
	}
	return e
}

// Statement gives what moved of an account's tokens, newest first: at most limit entries before a
// place, and the place of the last one.
func (d *DB) Statement(account aitbc.AccountID, before Place, limit int) ([]*ledgerv1.StatementEntry, Place, error) {
	first, end := key(keyStatement, account[:]), key(keyStatement, account[:], before.bytes())
	records, err := d.db.ReverseIterator([]byte(first), []byte(end))
	if err != nil {
		return nil, before, fmt.Errorf("read statement: %w", err)
	}
	defer func() { _ = records.Close() }() // it was only read
	var list []*ledgerv1.StatementEntry
	for ; records.Valid() && len(list) < limit; records.Next() {
		place := records.Key()[len(first):]
		entry := &ledgerv1.StatementEntry{}
		if _, err := d.read(key(keyMovement, place), entry); err != nil {
			return nil, before, err
		}
		if balance := records.Value(); len(balance) == 8 {
			entry.BalanceUaitbc = new(int64)
			*entry.BalanceUaitbc = int64(binary.BigEndian.Uint64(balance))
		}
		list = append(list, entry)
		before = Place{Height: int64(binary.BigEndian.Uint64(place)), Index: binary.BigEndian.Uint32(place[8:])}
	}
	if err := records.Error(); err != nil {
		return nil, before, fmt.Errorf("read statement: %w", err)
	}
	return list, before, nil
}
