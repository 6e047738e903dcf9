package state

import (
	"crypto/ed25519"
	"slices"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// maxOldKeys bounds an account's entry.
const maxOldKeys = 4

func (b *Block) rotateKey(signer aitbc.AccountID, m *ledgerv1.RotateKey) *refusal {
	next := ed25519.PublicKey(m.GetPublicKey())
	if len(next) != ed25519.PublicKeySize {
		return malformed("public_key has %d bytes, want %d", len(next), ed25519.PublicKeySize)
	}
	account, _ := b.account(signer) // it has signed, so it is there and its key is known
	rotation := aitbc.Rotation{ChainID: b.base.info.ChainID, Account: signer, PublicKey: next}
	if account.PublicKey.Equal(next) || !b.verify(next, rotation.SigningBytes(), m.GetProof()) {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_ROTATION, "the new key is the old one, or its signature of the rotation does not check")
	}
	kept := slices.DeleteFunc(account.OldKeys, func(k OldKey) bool { return k.UntilUS < b.nowUS() })
	if len(kept) == maxOldKeys {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_TOO_MANY, "%d old keys of account %s are still good, wait until one is not", maxOldKeys, signer)
	}
	account.OldKeys = append(kept, OldKey{PublicKey: account.PublicKey, UntilUS: b.nowUS() + b.base.params.UnbondingUS})
	account.PublicKey = next
	b.putAccount(signer, account)
	return nil
}

// signed reports whether the account signed a paper: with its key, or with one that it had within
// the unbonding time. Papers are leases, statements and acceptances, never orders or transactions.
func (b *Block) signed(a Account, paper, signature []byte) bool {
	if len(a.PublicKey) == 0 {
		return false
	}
	if b.verify(a.PublicKey, paper, signature) {
		return true
	}
	return slices.ContainsFunc(a.OldKeys, func(k OldKey) bool {
		return k.UntilUS >= b.nowUS() && b.verify(k.PublicKey, paper, signature)
	})
}
