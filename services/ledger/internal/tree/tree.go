// Package tree is the Merkle commitment to the ledger's live state: a binary tree of SHA-256
// hashes, kept in memory, over buckets of leaves.
//
// A key's hash chooses its bucket (its first 14 bits, from the highest) and its place in it
// (leaves are sorted by key hash), so the root depends on the entries alone and not on the order
// in which they came. An entry is shown to be there, or not to be there, by its whole bucket and
// the 14 hashes beside the path. At 100,000 entries a bucket holds about six.
//
// Invariants: a Tree is a value that never changes; Set gives a new one that shares what it can.
// A node that Root has hashed is never written again, so trees may be read by many goroutines
// once Root has been called on them.
//
// Start at Set and Root.
package tree

import (
	"bytes"
	"crypto/sha256"
	"sort"
)

// depth is how many levels lie between the root and a bucket.
const depth = 14

// Domain tags keep a bucket from being taken for an inner node.
const (
	tagBucket = 0x00
	tagInner  = 0x01
)

// Hash is a SHA-256.
type Hash = [sha256.Size]byte

// Tree commits to a set of entries. The zero value has none.
type Tree struct{ root *node }

// node is an inner node or, at the last level, a bucket. An empty subtree is nil and its hash is
// 32 zero bytes.
type node struct {
	left, right *node
	leaves      []leaf
	hash        Hash
	hashed      bool
}

// leaf is an entry: the hashes of its key and of its value.
type leaf struct{ key, value Hash }

// Set gives the tree with the entry; a nil value takes the key out.
func (t Tree) Set(key string, value []byte) Tree {
	l := leaf{key: sha256.Sum256([]byte(key))}
	if value != nil {
		l.value = sha256.Sum256(value)
	}
	return Tree{root: t.root.set(0, l, value == nil)}
}

// Get gives the hash of the key's value.
func (t Tree) Get(key string) (Hash, bool) {
	wanted := sha256.Sum256([]byte(key))
	n := t.root
	for level := 0; n != nil && level < depth; level++ {
		n = *n.child(level, wanted)
	}
	if n == nil {
		return Hash{}, false
	}
	i, found := n.find(wanted)
	if !found {
		return Hash{}, false
	}
	return n.leaves[i].value, true
}

// Root gives the hash of all entries; 32 zero bytes when there are none.
func (t Tree) Root() Hash { return t.root.sum() }

// set gives the subtree with the leaf, or without it; nil when nothing is left.
func (n *node) set(level int, l leaf, remove bool) *node {
	changed := &node{}
	if n != nil {
		changed.left, changed.right, changed.leaves = n.left, n.right, n.leaves
	}
	if level == depth {
		changed.leaves = changed.with(l, remove)
		if len(changed.leaves) == 0 {
			return nil
		}
		return changed
	}
	child := changed.child(level, l.key)
	*child = (*child).set(level+1, l, remove)
	if changed.left == nil && changed.right == nil {
		return nil
	}
	return changed
}

// child is where the path to a key goes on, by the bit of its hash at this level.
func (n *node) child(level int, key Hash) **node {
	if key[level/8]>>(7-level%8)&1 == 0 {
		return &n.left
	}
	return &n.right
}

// find gives the place of a key in a bucket, or the one it would have.
func (n *node) find(key Hash) (int, bool) {
	i := sort.Search(len(n.leaves), func(i int) bool {
		return bytes.Compare(n.leaves[i].key[:], key[:]) >= 0
	})
	return i, i < len(n.leaves) && n.leaves[i].key == key
}

// with gives a copy of the bucket's leaves with l in it, or without it.
func (n *node) with(l leaf, remove bool) []leaf {
	i, found := n.find(l.key)
	rest := n.leaves[i:]
	if found {
		rest = rest[1:]
	}
	leaves := make([]leaf, 0, len(n.leaves)+1)
	leaves = append(leaves, n.leaves[:i]...)
	if !remove {
		leaves = append(leaves, l)
	}
	return append(leaves, rest...)
}

func (n *node) sum() Hash {
	if n == nil {
		return Hash{}
	}
	if n.hashed {
		return n.hash
	}
	n.hash, n.hashed = sha256.Sum256(n.encode()), true
	return n.hash
}

func (n *node) encode() []byte {
	if n.leaves == nil {
		left, right := n.left.sum(), n.right.sum()
		b := make([]byte, 0, 1+2*sha256.Size)
		return append(append(append(b, tagInner), left[:]...), right[:]...)
	}
	b := make([]byte, 0, 1+2*sha256.Size*len(n.leaves))
	b = append(b, tagBucket)
	for _, l := range n.leaves {
		b = append(append(b, l.key[:]...), l.value[:]...)
	}
	return b
}
