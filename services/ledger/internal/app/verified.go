package app

import (
	"crypto/ed25519"
	"crypto/sha256"
	"sync"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// maxVerified is how many signatures are remembered: two full mempools' worth at 64 bytes each.
const maxVerified = 100_000

// verifiedSet remembers signatures that were right when CheckTx saw them, so that rechecks and
// FinalizeBlock need not check them again. It holds between limit and twice as many: when the newer half is full
// the older one is forgotten. Wrong signatures are not kept: checking them again is their price.
type verifiedSet struct {
	limit int
	costs costs

	mu           sync.Mutex
	newer, older map[[sha256.Size]byte]struct{}
}

func newVerifiedSet(limit int, c costs) *verifiedSet {
	return &verifiedSet{limit: limit, costs: c, newer: map[[sha256.Size]byte]struct{}{}}
}

// verify answers as aitbc.Verify does.
func (s *verifiedSet) verify(key ed25519.PublicKey, message, signature []byte) bool {
	if !wellFormed(key, signature) {
		return false
	}
	defer s.costs.begin(partSignatures)()
	id := idOf(key, message, signature)
	if s.has(id) {
		return true
	}
	if !aitbc.Verify(key, message, signature) {
		return false
	}
	s.add(id)
	return true
}

func wellFormed(key ed25519.PublicKey, signature []byte) bool {
	return len(key) == ed25519.PublicKeySize && len(signature) == ed25519.SignatureSize
}

// idOf names a well-formed signature with what it is of. Two fixed lengths come first, so the three can
// not run into each other.
func idOf(key ed25519.PublicKey, message, signature []byte) [sha256.Size]byte {
	digest := sha256.New()
	digest.Write(key)
	digest.Write(signature)
	digest.Write(message)
	return [sha256.Size]byte(digest.Sum(nil))
}

func (s *verifiedSet) has(id [sha256.Size]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.newer[id]; there {
		return true
	}
	_, there := s.older[id]
	return there
}

func (s *verifiedSet) add(id [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.newer) >= s.limit {
		s.older, s.newer = s.newer, make(map[[sha256.Size]byte]struct{}, s.limit)
	}
	s.newer[id] = struct{}{}
}
