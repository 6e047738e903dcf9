package aitbc

import "crypto/ed25519"

// Rotation is what a new key signs to become an account's: proof that somebody has it.
type Rotation struct {
	// ChainID is the ledger's chain id.
	ChainID string
	// Account is whose key it becomes.
	Account AccountID
	// PublicKey is the new key, 32 bytes.
	PublicKey ed25519.PublicKey
}

// SigningBytes gives the rotation's one encoding.
func (r Rotation) SigningBytes() []byte {
	w := newWriter(tagRotation)
	w.text(r.ChainID)
	w.fixed(r.Account[:])
	w.fixed(r.PublicKey)
	return w.signing()
}
