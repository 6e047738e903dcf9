package aitbc

import (
	"crypto/ed25519"

	"github.com/hdevalence/ed25519consensus"
)

// Verify reports whether sig is key's Ed25519 signature of message. It follows the rules of
// ZIP-215, so that every implementation, batched or not, agrees on every input; wrong lengths are
// just false.
func Verify(key ed25519.PublicKey, message, sig []byte) bool {
	return len(key) == ed25519.PublicKeySize && len(sig) == ed25519.SignatureSize &&
		ed25519consensus.Verify(key, message, sig)
}

// Sign signs signing bytes. Like [ed25519.Sign] it panics when key is not a private key.
func Sign(key ed25519.PrivateKey, message []byte) []byte { return ed25519.Sign(key, message) }
