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
		require.Zero(t, tree.Tree{}.Set("a", []byte("1")).Set("a", nil).Root())
	})
	t.Run("an empty value is not an absent one", func(t *testing.T) {
		t.Parallel()
		require.NotZero(t, tree.Tree{}.Set("a", []byte{}).Root())
	})
	t.Run("an old tree is not changed by a new one", func(t *testing.T) {
		t.Parallel()
		old := tree.Tree{}.Set("a", []byte("1"))
		root := old.Root()
		changed := old.Set("a", []byte("2")).Set("b", []byte("3"))
		require.NotEqual(t, root, changed.Root())
		require.Equal(t, root, old.Root())
		value, found := old.Get("a")
		require.True(t, found)
		require.Equal(t, sha256.Sum256([]byte("1")), value)
	})
	t.Run("key and value do not run into each other", func(t *testing.T) {
		t.Parallel()
		require.NotEqual(t, tree.Tree{}.Set("ab", []byte("c")).Root(), tree.Tree{}.Set("a", []byte("bc")).Root())
	})
}

// TestRootDependsOnEntriesAlone compares a tree with a long history to one built from what is left.
func TestRootDependsOnEntriesAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		model := map[string][]byte{}
		grown := tree.Tree{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			key := fmt.Sprint(rapid.IntRange(0, 20).Draw(t, "key"))
			if rapid.Bool().Draw(t, "remove") {
				delete(model, key)
				grown = grown.Set(key, nil)
			} else {
				value := rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(t, "value")
				model[key] = value
				grown = grown.Set(key, value)
			}
			if rapid.Bool().Draw(t, "hash now") {
				grown.Root()
			}
		}
		fresh := tree.Tree{}
		for key, value := range model {
			fresh = fresh.Set(key, value)
			got, found := grown.Get(key)
			require.True(t, found)
			require.Equal(t, sha256.Sum256(value), got)
		}
		require.Equal(t, fresh.Root(), grown.Root())
	})
}

func BenchmarkSet4000Of100000(b *testing.B) {
	full := tree.Tree{}
	for i := range 100_000 {
		full = full.Set(fmt.Sprint(i), []byte("value"))
	}
	full.Root()
	for b.Loop() {
		changed := full
		for i := range 4_000 {
			changed = changed.Set(fmt.Sprint(i*25), []byte("other"))
		}
		changed.Root()
	}
}
