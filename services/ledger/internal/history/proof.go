package history

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// ErrForgotten is wrapped by the error of a proof that needs what this history never had: it began
// later.
var ErrForgotten = errors.New("this node's history begins later")

// rootsSize is the length of a record of roots: two hashes and a number.
const rootsSize = 2*len(aitbc.Hash{}) + 8

// Begin remembers what proofs of receipts after this state need of all that came before it. It is
// called whenever a state is taken up, so that a history that is new, or was lost, can prove
// everything from then on.
func (d *DB) Begin(st *state.State) error {
	roots := st.Roots()
	w := &blockWriter{db: d, raw: proofRecords(st.Height(), st.LogNodes(), &roots)}
	if err := w.commit(); err != nil {
		return fmt.Errorf("begin history at block %d: %w", st.Height(), err)
	}
	return nil
}

func proofRecords(height int64, nodes []state.LogNode, roots *aitbc.StateRoots) map[string][]byte {
	records := make(map[string][]byte, len(nodes)+1)
	for _, n := range nodes {
		records[nodeKey(n.ID)] = n.Hash[:]
	}
	if roots != nil {
		value := append(make([]byte, 0, rootsSize), roots.Entries[:]...)
		value = binary.BigEndian.AppendUint64(value, roots.LogSize)
		records[rootsKey(height)] = append(value, roots.LogRoot[:]...)
	}
	return records
}

// Roots reads what the app hash after a block commits to. Errors: [ErrForgotten].
func (d *DB) Roots(height int64) (aitbc.StateRoots, error) {
	var roots aitbc.StateRoots
	// The last block up to this one that changed anything.
	records, err := d.db.ReverseIterator([]byte{keyRoots}, []byte(rootsKey(height+1)))
	if err != nil {
		return roots, fmt.Errorf("read roots after block %d: %w", height, err)
	}
	defer func() { _ = records.Close() }() // it was only read
	if !records.Valid() {
		if err := records.Error(); err != nil {
			return roots, fmt.Errorf("read roots after block %d: %w", height, err)
		}
		return roots, fmt.Errorf("read roots after block %d: %w", height, ErrForgotten)
	}
	value := records.Value()
	if len(value) != rootsSize {
		return roots, fmt.Errorf("read roots after block %d: record of %d bytes", height, len(value))
	}
	roots.Entries = aitbc.Hash(value[:32])
	roots.LogSize = binary.BigEndian.Uint64(value[32:40])
	roots.LogRoot = aitbc.Hash(value[40:])
	return roots, nil
}

// Inclusion gives the hashes beside the way from a leaf of the receipt log to the root that the log
// had at a size, from the leaf's level up (RFC 6962). It reads at most two for each doubling of the
// log. Errors: [ErrForgotten].
func (d *DB) Inclusion(index, size uint64) ([][]byte, error) {
	nodes, err := proof.Inclusion(index, size)
	if err != nil {
		return nil, fmt.Errorf("prove receipt %d: %w", index, err)
	}
	hashes := make([][]byte, len(nodes.IDs))
	for i, id := range nodes.IDs {
		hashes[i], err = d.db.Get([]byte(nodeKey(id)))
		if err != nil {
			return nil, fmt.Errorf("prove receipt %d: %w", index, err)
		}
		if hashes[i] == nil {
			return nil, fmt.Errorf("prove receipt %d: %w", index, ErrForgotten)
		}
	}
	path, err := nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
	if err != nil {
		return nil, fmt.Errorf("prove receipt %d: %w", index, err)
	}
	return path, nil
}

func nodeKey(id compact.NodeID) string {
	return key(keyNode, []byte{byte(id.Level)}, binary.BigEndian.AppendUint64(nil, id.Index))
}

func rootsKey(height int64) string {
	return key(keyRoots, binary.BigEndian.AppendUint64(nil, uint64(height)))
}
