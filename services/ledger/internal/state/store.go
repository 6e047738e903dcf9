package state

import (
	"fmt"
	"slices"

	"github.com/tidwall/btree"
)

// entries are a state's entries in the order of their keys.
type entries = btree.Map[string, []byte]

// store is a block's view of the entries: it can take back what was done since a mark.
type store struct {
	entries *entries
	journal []change
}

// change is an entry as it was before it was written; a nil value: it was not there.
type change struct {
	key    string
	before []byte
}

func (s *store) put(key string, value []byte) {
	before, _ := s.entries.Set(key, value)
	s.journal = append(s.journal, change{key: key, before: before})
}

func (s *store) remove(key string) {
	if before, there := s.entries.Delete(key); there {
		s.journal = append(s.journal, change{key: key, before: before})
	}
}

// mark names this moment for rollback.
func (s *store) mark() int { return len(s.journal) }

// rollback takes back all changes since the mark, the last one first.
func (s *store) rollback(mark int) {
	for i := len(s.journal) - 1; i >= mark; i-- {
		c := s.journal[i]
		if c.before == nil {
			s.entries.Delete(c.key)
		} else {
			s.entries.Set(c.key, c.before)
		}
	}
	s.journal = s.journal[:mark]
}

// written gives the keys that were written, in order, each once.
func (s *store) written() []string {
	keys := make([]string, len(s.journal))
	for i, c := range s.journal {
		keys[i] = c.key
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// first gives at most limit keys of a prefix that come before end, in order.
func first(e *entries, prefix byte, end string, limit int) []string {
	var keys []string
	e.Ascend(string([]byte{prefix}), func(key string, _ []byte) bool {
		if len(keys) == limit || key >= end {
			return false
		}
		keys = append(keys, key)
		return true
	})
	return keys
}

// load reads an entry. It panics when the entry is not what was once written: the state is
// corrupt, and going on would spread that.
func load[T any](e *entries, key string, read func(*reader) T) (T, bool) {
	var none T
	raw, there := e.Get(key)
	if !there {
		return none, false
	}
	r := &reader{rest: raw}
	value := read(r)
	if err := r.end(); err != nil {
		panic(fmt.Sprintf("entry %x: %v", key, err))
	}
	return value, true
}
