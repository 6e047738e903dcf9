package state

import (
	"fmt"
	"iter"
)

// SnapshotFormat is the version of a snapshot's encoding.
const SnapshotFormat = 1

// Snapshot gives the state in parts of about partBytes, each decodable by itself: the meta record,
// then the entries in order. DecodeSnapshot reads them.
func (s *State) Snapshot(partBytes int) [][]byte {
	parts := [][]byte{}
	w := &writer{}
	w.bytes(s.Meta().Encode())
	for key, value := range s.Entries() {
		if len(w.buf) > 0 && len(w.buf)+len(key)+len(value) > partBytes {
			parts = append(parts, w.buf)
			w = &writer{}
		}
		w.text(key)
		w.bytes(value)
	}
	return append(parts, w.buf)
}

// DecodeSnapshot reads what Snapshot wrote, from anybody: it checks every entry, the supply, and
// that all has the hash that the meta record says. Whether that hash is the right one is for the
// caller to know; so is the block's time, which is not hashed.
func DecodeSnapshot(parts [][]byte) (*State, error) {
	if len(parts) == 0 {
		return nil, fmt.Errorf("read snapshot: %w: it has no parts", errCorrupt)
	}
	r := &reader{rest: parts[0]}
	meta, err := DecodeMeta(r.bytes())
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	rest := append([][]byte{r.rest}, parts[1:]...)
	st, err := Load(meta, snapshotEntries(rest, &r.err))
	if r.err != nil {
		return nil, fmt.Errorf("read snapshot: %w", r.err)
	}
	return st, err
}

// snapshotEntries walks parts; it stops at the first fault.
func snapshotEntries(parts [][]byte, fault *error) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, part := range parts {
			r := &reader{rest: part}
			for len(r.rest) > 0 && r.err == nil {
				key, value := r.text(), r.bytes()
				if r.err == nil && !yield(key, value) {
					return
				}
			}
			if r.err != nil {
				*fault = r.err
				return
			}
		}
	}
}
