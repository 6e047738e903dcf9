package aitbc

import (
	"context"
	"crypto/ed25519"
	"fmt"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

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

// Rotate makes next the key of the wallet's account, in place of the wallet's own; the address, the
// tokens and what operators were allowed stay. A wallet for the account is made with next from then
// on. Errors: those of [Wallet.Send].
func (w *Wallet) Rotate(ctx context.Context, next ed25519.PrivateKey) error {
	status, err := w.node.GetStatus(ctx, &ledgerv1.GetStatusRequest{})
	if err != nil {
		return fmt.Errorf("read the chain's id: %w", err)
	}
	public, _ := next.Public().(ed25519.PublicKey) // it is no other type
	rotation := Rotation{ChainID: status.GetChainId(), Account: w.account, PublicKey: public}
	_, err = w.Send(ctx, &ledgerv1.Message{Message: &ledgerv1.Message_RotateKey{RotateKey: &ledgerv1.RotateKey{
		PublicKey: public, Proof: Sign(next, rotation.SigningBytes()),
	}}})
	return err
}
