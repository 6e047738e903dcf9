// Package tree is the Merkle commitment to the ledger's live state: a binary tree of SHA-256
// hashes, kept in memory, over buckets of leaves.
//
// A key's hash chooses its bucket (its first 14 bits, from the highest) and its place in it
// (leaves are sorted by key hash), so the root depends on the entries alone and not on the order
// in which they came. An entry is shown to be there, or not to be there, by its whole bucket and
// the 14 hashes beside the path. At 100,000 entries a bucket holds about six.
//
// Invariants: a Tree is a value that never changes; With gives a new one that shares what it can.
// A node that Root has hashed is never written again, so trees may be read by many goroutines
// once Root has been called on them.
//
// Start at With and Root.
package tree

import (
	"bytes"
	"crypto/sha256"
	"slices"
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

// Change is a leaf to be set or, without a value, to be taken out.
type Change struct {
	leaf   leaf
	remove bool
}

// Changed makes the change to an entry; a nil value takes the key out.
func Changed(key string, value []byte) Change {
	c := Change{leaf: leaf{key: sha256.Sum256([]byte(key))}, remove: value == nil}
	if !c.remove {
		c.leaf.value = sha256.Sum256(value)
	}
	return c
}

// With gives the tree with the changes, each of another key. It sorts them. Many at once cost less
// than one by one: a path that they share is copied once.
func (t Tree) With(changes []Change) Tree {
	if len(changes) == 0 {
		return t
	}
	slices.SortFunc(changes, func(a, b Change) int { return bytes.Compare(a.leaf.key[:], b.leaf.key[:]) })
	return Tree{root: t.root.with(0, changes)}
}

// Get gives the hash of the key's value.
func (t Tree) Get(key string) (Hash, bool) {
	wanted := sha256.Sum256([]byte(key))
	n := t.root
	for level := 0; n != nil && level < depth; level++ {
		if goesRight(level, wanted) {
			n = n.right
		} else {
			n = n.left
		}
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

// with gives the subtree with the changes, of which there is one at least; nil when nothing is left.
func (n *node) with(level int, changes []Change) *node {
	changed := &node{}
	if n != nil {
		changed.left, changed.right, changed.leaves = n.left, n.right, n.leaves
	}
	if level == depth {
		changed.leaves = merge(changed.leaves, changes)
		if len(changed.leaves) == 0 {
			return nil
		}
		return changed
	}
	turn := sort.Search(len(changes), func(i int) bool { return goesRight(level, changes[i].leaf.key) })
	if left := changes[:turn]; len(left) > 0 {
		changed.left = changed.left.with(level+1, left)
	}
	if right := changes[turn:]; len(right) > 0 {
		changed.right = changed.right.with(level+1, right)
	}
	if changed.left == nil && changed.right == nil {
		return nil
	}
	return changed
}

// goesRight tells the way to a key by the bit of its hash at this level.
func goesRight(level int, key Hash) bool { return key[level/8]>>(7-level%8)&1 == 1 }

// find gives the place of a key in a bucket, or the one it would have.
func (n *node) find(key Hash) (int, bool) {
	i := sort.Search(len(n.leaves), func(i int) bool {
		return bytes.Compare(n.leaves[i].key[:], key[:]) >= 0
	})
	return i, i < len(n.leaves) && n.leaves[i].key == key
}

// merge gives a copy of a bucket's leaves with the changes, both in the order of their keys.
func merge(leaves []leaf, changes []Change) []leaf {
	merged := make([]leaf, 0, len(leaves)+len(changes))
	for _, c := range changes {
		for len(leaves) > 0 && bytes.Compare(leaves[0].key[:], c.leaf.key[:]) < 0 {
			merged, leaves = append(merged, leaves[0]), leaves[1:]
		}
		if len(leaves) > 0 && leaves[0].key == c.leaf.key {
			leaves = leaves[1:]
		}
		if !c.remove {
			merged = append(merged, c.leaf)
		}
	}
	return append(merged, leaves...)
}

func (n *node) sum() Hash {
	if n == nil {
		return Hash{}
	}
	if n.hashed {
		return n.hash
	}
	if n.leaves == nil {
		left, right := n.left.sum(), n.right.sum()
		var b [1 + 2*sha256.Size]byte
		b[0] = tagInner
		copy(b[1:], left[:])
		copy(b[1+sha256.Size:], right[:])
		n.hash = sha256.Sum256(b[:])
	} else {
		n.hash = sha256.Sum256(encodeBucket(n.leaves))
	}
	n.hashed = true
	return n.hash
}

func encodeBucket(leaves []leaf) []byte {
	b := make([]byte, 0, 1+2*sha256.Size*len(leaves))
	b = append(b, tagBucket)
	for _, l := range leaves {
		b = append(append(b, l.key[:]...), l.value[:]...)
	}
	return b
}
