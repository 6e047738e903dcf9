package state

import (
	"fmt"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// receiptLog is the receipt log as execution needs it: the compact range of RFC 6962's tree.
type receiptLog struct{ rng *compact.Range }

func newReceiptLog(size uint64, hashes [][]byte) (receiptLog, error) {
	factory := &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	rng, err := factory.NewRange(0, size, hashes)
	if err != nil {
		return receiptLog{}, fmt.Errorf("%w: receipt log of %d: %w", errCorrupt, size, err)
	}
	return receiptLog{rng: rng}, nil
}

func (l receiptLog) size() uint64 { return l.rng.End() }

// hashes gives a copy of the range's hashes.
func (l receiptLog) hashes() [][]byte {
	hashes := make([][]byte, len(l.rng.Hashes()))
	for i, h := range l.rng.Hashes() {
		hashes[i] = append([]byte(nil), h...)
	}
	return hashes
}

// clone gives a log that grows on its own.
func (l receiptLog) clone() receiptLog {
	copied, err := newReceiptLog(l.size(), l.hashes())
	if err != nil { // a range that is one makes one
		panic(err)
	}
	return copied
}

// add appends a leaf and gives the nodes of the log's tree that it made complete, its own first.
func (l receiptLog) add(leaf []byte) []LogNode {
	hash := rfc6962.DefaultHasher.HashLeaf(leaf)
	var nodes []LogNode
	err := l.rng.Append(hash, func(id compact.NodeID, hash []byte) {
		nodes = append(nodes, LogNode{ID: id, Hash: aitbc.Hash(hash)})
	})
	if err != nil {
		panic(err) // only a range that does not begin at 0 and does not fit gives one
	}
	return nodes
}

// LogNode is a node of the receipt log's tree: a leaf or a complete subtree. It never changes.
type LogNode struct {
	ID   compact.NodeID
	Hash aitbc.Hash
}

// LogNodes gives the nodes that every proof of a receipt yet to come leads past.
func (s *State) LogNodes() []LogNode {
	hashes := s.log.rng.Hashes()
	nodes := make([]LogNode, len(hashes))
	for i, id := range compact.RangeNodes(0, s.log.size(), nil) {
		nodes[i] = LogNode{ID: id, Hash: aitbc.Hash(hashes[i])}
	}
	return nodes
}

// Roots gives what the app hash commits to.
func (s *State) Roots() aitbc.StateRoots { return s.roots }

// root gives the log's root hash.
func (l receiptLog) root() []byte {
	if l.size() == 0 {
		return rfc6962.DefaultHasher.EmptyRoot()
	}
	root, err := l.rng.GetRootHash(nil)
	if err != nil { // only a range that does not begin at 0 gives one
		panic(err)
	}
	return root
}

// price gives what metered microseconds cost. A time.Duration holds 292 years of them, which is
// more than any execution limit may be.
func price(meteredUS int64, perSecond, limit aitbc.Amount) aitbc.Amount {
	return aitbc.Price(time.Duration(meteredUS)*time.Microsecond, perSecond, limit)
}
