package tree_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aitbc/aitbc/services/ledger/internal/tree"
)

func TestTree(t *testing.T) {
	t.Parallel()

	t.Run("the empty tree's root is zero", func(t *testing.T) {
		t.Parallel()
		require.Zero(t, tree.Tree{}.Root())
	})
	t.Run("one entry set and taken out again leaves the empty tree", func(t *testing.T) {
		t.Parallel()
		require.Zero(t, set(set(tree.Tree{}, "a", []byte("1")), "a", nil).Root())
	})
	t.Run("an empty value is not an absent one", func(t *testing.T) {
		t.Parallel()
		require.NotZero(t, set(tree.Tree{}, "a", []byte{}).Root())
	})
	t.Run("an old tree is not changed by a new one", func(t *testing.T) {
		t.Parallel()
		old := set(tree.Tree{}, "a", []byte("1"))
		root := old.Root()
		changed := set(set(old, "a", []byte("2")), "b", []byte("3"))
		require.NotEqual(t, root, changed.Root())
		require.Equal(t, root, old.Root())
		value, found := old.Get("a")
		require.True(t, found)
		require.Equal(t, sha256.Sum256([]byte("1")), value)
	})
	t.Run("key and value do not run into each other", func(t *testing.T) {
		t.Parallel()
		require.NotEqual(t, set(tree.Tree{}, "ab", []byte("c")).Root(), set(tree.Tree{}, "a", []byte("bc")).Root())
	})
}

// A root is consensus: all nodes of all versions must find the same.
func TestARootIsForEver(t *testing.T) {
	t.Parallel()
	two := tree.Tree{}.With([]tree.Change{tree.Changed("b", []byte("2")), tree.Changed("a", []byte("1"))})
	require.Equal(t, "87378cd6a114af6db9989373ad18067b00f04f833e7000b05bc128f345ec008f", fmt.Sprintf("%x", two.Root()))
}

func set(t tree.Tree, key string, value []byte) tree.Tree {
	return t.With([]tree.Change{tree.Changed(key, value)})
}

// TestRootDependsOnEntriesAlone compares a tree with a long history to one built at once from what is left.
func TestRootDependsOnEntriesAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		model := map[string][]byte{}
		grown := tree.Tree{}
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			var changes []tree.Change
			for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, 20), 0, 8, rapid.ID[int]).Draw(t, "keys") {
				key := fmt.Sprint(n)
				value := rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(t, "value")
				if rapid.Bool().Draw(t, "remove") {
					delete(model, key)
					value = nil
				} else {
					model[key] = value
				}
				changes = append(changes, tree.Changed(key, value))
			}
			grown = grown.With(changes)
			if rapid.Bool().Draw(t, "hash now") {
				grown.Root()
			}
		}
		var left []tree.Change
		for key, value := range model {
			left = append(left, tree.Changed(key, value))
			got, found := grown.Get(key)
			require.True(t, found)
			require.Equal(t, sha256.Sum256(value), got)
		}
		require.Equal(t, tree.Tree{}.With(left).Root(), grown.Root())
	})
}

func Benchmark4000Of100000(b *testing.B) {
	var all []tree.Change
	for i := range 100_000 {
		all = append(all, tree.Changed(fmt.Sprint(i), []byte("value")))
	}
	full := tree.Tree{}.With(all)
	full.Root()
	for b.Loop() {
		changes := make([]tree.Change, 4_000)
		for i := range changes {
			changes[i] = tree.Changed(fmt.Sprint(i*25), []byte("other"))
		}
		full.With(changes).Root()
	}
}
