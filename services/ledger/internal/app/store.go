package app

import (
	"errors"
	"fmt"
	"iter"

	dbm "github.com/cometbft/cometbft-db"

	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// Keys of the state's database.
const (
	prefixMeta  = 0x00 // alone: state.Meta
	prefixEntry = 0x01 // + an entry's key
)

// Store keeps one state on disk: that of the last committed block.
type Store struct{ db dbm.DB }

// NewStore keeps the state in a database of its own, which it does not close.
func NewStore(db dbm.DB) *Store { return &Store{db: db} }

// Load reads the state back; nil when none was saved.
func (s *Store) Load() (*state.State, error) {
	raw, err := s.db.Get([]byte{prefixMeta})
	if err != nil {
		return nil, fmt.Errorf("load ledger state: %w", err)
	}
	if raw == nil {
		return nil, nil
	}
	meta, err := state.DecodeMeta(raw)
	if err != nil {
		return nil, err
	}
	entries, err := s.db.Iterator([]byte{prefixEntry}, []byte{prefixEntry + 1})
	if err != nil {
		return nil, fmt.Errorf("load ledger state: %w", err)
	}
	st, err := state.Load(meta, walk(entries))
	if err != nil {
		return nil, err
	}
	// A walk that broke off shows as a state whose hash is wrong; its own error says more.
	if err := entries.Error(); err != nil {
		return nil, fmt.Errorf("load ledger state: %w", err)
	}
	return st, entries.Close()
}

func walk(entries dbm.Iterator) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for ; entries.Valid(); entries.Next() {
			value := append([]byte{}, entries.Value()...)
			if !yield(string(entries.Key()[1:]), value) {
				return
			}
		}
	}
}

// Save writes what a block changed, or the whole state, with its height and hash, in one batch. It
// does not sync: after a power cut the state may be some blocks old, and CometBFT gives those again.
func (s *Store) Save(outcome state.Outcome, whole bool) error {
	batch := s.db.NewBatch()
	defer func() { _ = batch.Close() }() // it was written, or its fault is returned
	if whole {
		if err := setAll(batch, outcome.Next); err != nil {
			return err
		}
	}
	for _, w := range outcome.Writes {
		if err := put(batch, w); err != nil {
			return fmt.Errorf("save ledger state: %w", err)
		}
	}
	if err := batch.Set([]byte{prefixMeta}, outcome.Next.Meta().Encode()); err != nil {
		return fmt.Errorf("save ledger state: %w", err)
	}
	if err := batch.Write(); err != nil {
		return fmt.Errorf("save ledger state: %w", err)
	}
	return nil
}

// Replace writes a whole state, durably, in the place of whatever is there.
func (s *Store) Replace(st *state.State) error {
	batch := s.db.NewBatch()
	defer func() { _ = batch.Close() }() // it was written, or its fault is returned
	old, err := s.db.Iterator([]byte{prefixEntry}, []byte{prefixEntry + 1})
	if err != nil {
		return fmt.Errorf("replace ledger state: %w", err)
	}
	for ; old.Valid(); old.Next() {
		if err := batch.Delete(append([]byte{}, old.Key()...)); err != nil {
			return errors.Join(fmt.Errorf("replace ledger state: %w", err), old.Close())
		}
	}
	if err := errors.Join(old.Error(), old.Close(), setAll(batch, st), batch.Set([]byte{prefixMeta}, st.Meta().Encode())); err != nil {
		return fmt.Errorf("replace ledger state: %w", err)
	}
	if err := batch.WriteSync(); err != nil {
		return fmt.Errorf("replace ledger state: %w", err)
	}
	return nil
}

func setAll(batch dbm.Batch, st *state.State) error {
	for key, value := range st.Entries() {
		if err := batch.Set(entryKey(key), value); err != nil {
			return fmt.Errorf("save ledger state: %w", err)
		}
	}
	return nil
}

func put(batch dbm.Batch, w state.Write) error {
	if w.Value == nil {
		return batch.Delete(entryKey(w.Key))
	}
	return batch.Set(entryKey(w.Key), w.Value)
}

func entryKey(key string) []byte { return append([]byte{prefixEntry}, key...) }
