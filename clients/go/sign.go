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

// Batch is signatures that are checked together, in half the time when they are many. Its zero value is
// empty and ready.
type Batch struct {
	batch voi.BatchVerifier
	// keys are made ready once: many signatures of a batch are of few keys.
	keys map[[ed25519.PublicKeySize]byte]*voi.ExpandedPublicKey
	// wrong says that something was added that can be no signature.
	wrong bool
}

// Add adds what [Verify] is given.
func (b *Batch) Add(key ed25519.PublicKey, message, sig []byte) {
	if len(key) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize {
		b.wrong = true
		return
	}
	id := [ed25519.PublicKeySize]byte(key)
	ready, there := b.keys[id]
	if !there {
		var err error
		if ready, err = voi.NewExpandedPublicKey(voi.PublicKey(key)); err != nil {
			b.wrong = true // it is no point of the curve
			return
		}
		if b.keys == nil {
			b.keys = map[[ed25519.PublicKeySize]byte]*voi.ExpandedPublicKey{}
		}
		b.keys[id] = ready
	}
	b.batch.AddExpandedWithOptions(ready, message, sig, zip215)
}

// Verify reports whether all are right, of at least one: then [Verify] says so of each. The equation is the
// same, with the cofactor, summed up with random factors of 128 bits that nobody who signs can foresee.
func (b *Batch) Verify() bool { return !b.wrong && b.batch.VerifyBatchOnly(nil) }

// Sign signs signing bytes. Like [ed25519.Sign] it panics when key is not a private key.
func Sign(key ed25519.PrivateKey, message []byte) []byte { return ed25519.Sign(key, message) }
