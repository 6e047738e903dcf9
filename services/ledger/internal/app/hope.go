package app

import (
	"crypto/ed25519"
	"crypto/sha256"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// minBatch is how many signatures are worth checking together.
const minBatch = 4

// hope is a verifier for one transaction: it says yes to every signature but the first, and checks later
// whether it was right to.
type hope struct {
	set *verifiedSet
	// begun says that the first one was seen. It is the transaction's own, and checked at once: nobody
	// makes a node do more by a transaction that is not its sender's.
	begun bool
	open  []hoped
}

// hoped is a signature that was not known to be right.
type hoped struct {
	id                      [sha256.Size]byte
	key, message, signature []byte
}

func (h *hope) verify(key ed25519.PublicKey, message, signature []byte) bool {
	if !h.begun {
		h.begun = true
		return h.set.verify(key, message, signature)
	}
	if !wellFormed(key, signature) {
		return false
	}
	defer h.set.costs.begin(partSignatures)()
	if id := idOf(key, message, signature); !h.set.has(id) {
		h.open = append(h.open, hoped{id, key, message, signature})
	}
	return true
}

// holds reports whether every yes was right; those that were are remembered.
func (h *hope) holds() bool {
	if len(h.open) < minBatch {
		for _, o := range h.open {
			if !h.set.verify(o.key, o.message, o.signature) {
				return false
			}
		}
		return true
	}
	defer h.set.costs.begin(partSignatures)()
	var batch aitbc.Batch
	for _, o := range h.open {
		batch.Add(o.key, o.message, o.signature)
	}
	if !batch.Verify() {
		return false
	}
	for _, o := range h.open {
		h.set.add(o.id)
	}
	return true
}
