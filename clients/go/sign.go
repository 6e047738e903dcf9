package aitbc

import (
	"crypto/ed25519"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

var zip215 = &voi.Options{Verify: voi.VerifyOptionsZIP_215}

// Verify reports whether sig is key's Ed25519 signature of message. It follows the rules of
// ZIP-215, so that every implementation, batched or not, agrees on every input; wrong lengths are
// just false.
func Verify(key ed25519.PublicKey, message, sig []byte) bool {
	return len(key) == ed25519.PublicKeySize && len(sig) == ed25519.SignatureSize &&
		voi.VerifyWithOptions(voi.PublicKey(key), message, sig, zip215)
}

// Sign signs signing bytes. Like [ed25519.Sign] it panics when key is not a private key.
func Sign(key ed25519.PrivateKey, message []byte) []byte { return ed25519.Sign(key, message) }
