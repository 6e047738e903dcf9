package aitbc

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/proto"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// TxVersion is the version of the transaction bodies this package makes.
const TxVersion = 1

// TxSigningBytes gives what a transaction's signature covers: domain tag and body.
func TxSigningBytes(body []byte) []byte {
	w := newWriter(tagTx)
	w.bytes(body)
	return w.signing()
}

// SignTx encodes body and signs it with the signer's key. It gives the bytes to broadcast and
// their hash, which is the transaction's. Errors: [ErrMalformed], text that is not UTF-8.
func SignTx(key ed25519.PrivateKey, body *ledgerv1.TxBody) ([]byte, Hash, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, Hash{}, fmt.Errorf("sign transaction: %w: private key of %d bytes", ErrMalformed, len(key))
	}
	encoded, err := proto.Marshal(body)
	if err != nil {
		return nil, Hash{}, fmt.Errorf("encode transaction body: %w", err)
	}
	tx, err := proto.Marshal(&ledgerv1.Tx{
		Body:      encoded,
		PublicKey: key[ed25519.PrivateKeySize-ed25519.PublicKeySize:],
		Signature: Sign(key, TxSigningBytes(encoded)),
	})
	if err != nil {
		return nil, Hash{}, fmt.Errorf("encode transaction: %w", err)
	}
	return tx, sha256.Sum256(tx), nil
}

// ParseTx reads a transaction's bytes, without checking it. Errors: [ErrMalformed].
func ParseTx(raw []byte) (*ledgerv1.Tx, error) {
	tx := &ledgerv1.Tx{}
	if err := proto.Unmarshal(raw, tx); err != nil {
		return nil, fmt.Errorf("read transaction: %w: %w", ErrMalformed, err)
	}
	return tx, nil
}
