package state

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

const (
	// MaxTxBytes is the largest transaction.
	MaxTxBytes = 1 << 20
	// MaxMessages is the most messages of one transaction.
	MaxMessages = 1000

	maxNameBytes   = 64
	maxReasonBytes = 64
	maxModelBytes  = 256
	maxEngineBytes = 128

	// kindUnknown is the kind of messages that this version can not read.
	kindUnknown = "unknown"

	// maxNesting is deeper than a transaction is; it keeps hostile bytes from nesting further.
	maxNesting = 8
)

// refusal is why a transaction or a message is not applied; nil: it is.
type refusal struct {
	code   ledgerv1.ResultCode
	detail string
}

func refuse(code ledgerv1.ResultCode, format string, args ...any) *refusal {
	return &refusal{code: code, detail: fmt.Sprintf(format, args...)}
}

func malformed(format string, args ...any) *refusal {
	return refuse(ledgerv1.ResultCode_RESULT_CODE_MALFORMED, format, args...)
}

// envelope is a transaction whose form is right.
type envelope struct {
	hash      aitbc.Hash
	raw       *ledgerv1.Tx
	body      *ledgerv1.TxBody
	signer    aitbc.AccountID
	sequenced bool
	// expander gives the messages what they inherit, in order.
	expander aitbc.Expander
}

// openTx reads a transaction's bytes. The outer message must be in its one encoding: nobody but
// the signer can then make another transaction, with another hash, of the same body.
func openTx(raw []byte) (*envelope, *refusal) {
	if len(raw) > MaxTxBytes {
		return nil, malformed("%d bytes, at most %d", len(raw), MaxTxBytes)
	}
	options := proto.UnmarshalOptions{RecursionLimit: maxNesting}
	e := &envelope{hash: sha256.Sum256(raw), raw: &ledgerv1.Tx{}, body: &ledgerv1.TxBody{}}
	if err := options.Unmarshal(raw, e.raw); err != nil {
		return nil, malformed("not a Tx: %v", err)
	}
	if !bytes.Equal(raw, canonicalTx(e.raw)) {
		return nil, malformed("not the canonical encoding of a Tx")
	}
	if err := options.Unmarshal(e.raw.GetBody(), e.body); err != nil {
		return nil, malformed("not a TxBody: %v", err)
	}
	switch count := len(e.body.GetMessages()); {
	case len(e.raw.GetPublicKey()) != ed25519.PublicKeySize:
		return nil, malformed("public key has %d bytes, want %d", len(e.raw.GetPublicKey()), ed25519.PublicKeySize)
	case len(e.body.GetSigner()) != len(e.signer):
		return nil, malformed("signer has %d bytes, want %d", len(e.body.GetSigner()), len(e.signer))
	case e.body.GetVersion() != aitbc.TxVersion:
		return nil, malformed("version is %d, want %d", e.body.GetVersion(), aitbc.TxVersion)
	case len(e.body.ProtoReflect().GetUnknown()) != 0:
		return nil, malformed("the body has fields that are not known here")
	case count == 0 || count > MaxMessages:
		return nil, malformed("%d messages, want 1 to %d", count, MaxMessages)
	}
	e.signer = aitbc.AccountID(e.body.GetSigner())
	for _, m := range e.body.GetMessages() {
		e.sequenced = e.sequenced || needsSequence(m)
	}
	return e, nil
}

// canonicalTx gives the one encoding: the three fields in order, each once.
func canonicalTx(tx *ledgerv1.Tx) []byte {
	var b []byte
	for i, field := range [][]byte{tx.GetBody(), tx.GetPublicKey(), tx.GetSignature()} {
		b = protowire.AppendTag(b, protowire.Number(i+1), protowire.BytesType)
		b = protowire.AppendBytes(b, field)
	}
	return b
}

// needsSequence tells account messages from those that can be repeated harmlessly.
func needsSequence(m *ledgerv1.Message) bool {
	switch m.GetMessage().(type) {
	case nil, *ledgerv1.Message_SubmitJob, *ledgerv1.Message_RecordReceipt, *ledgerv1.Message_RefundJob,
		*ledgerv1.Message_SubmitEvidence:
		return false
	default:
		return true
	}
}

// kindOf names a message as the contract does, and the job it is about; "unknown" for one that
// this version does not know or whose fields it does not know.
func kindOf(m *ledgerv1.Message) (kind string, job aitbc.JobID) {
	known := len(m.ProtoReflect().GetUnknown()) == 0
	field := m.ProtoReflect().WhichOneof(m.ProtoReflect().Descriptor().Oneofs().ByName("message"))
	if field == nil || !known {
		return kindUnknown, job
	}
	inner := m.ProtoReflect().Get(field).Message()
	if len(inner.GetUnknown()) != 0 {
		return kindUnknown, job
	}
	if id := inner.Descriptor().Fields().ByName("job_id"); id != nil {
		copy(job[:], inner.Get(id).Bytes())
	}
	return string(field.Name()), job
}

// admit checks what concerns the transaction as a whole, the signature last because it costs most.
// It then remembers the signer's key and sees to it that this transaction is never admitted again,
// whatever becomes of the messages: it must not be good for a second try that its signer no longer
// wants.
func (b *Block) admit(e *envelope) *refusal {
	if e.body.GetChainId() != b.base.info.ChainID {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_WRONG_CHAIN, "for chain %.64q, this is %q", e.body.GetChainId(), b.base.info.ChainID)
	}
	if no := b.checkExpiry(e.body.GetExpiresUs()); no != nil {
		return no
	}
	account, there := b.account(e.signer)
	if !there {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_UNKNOWN_ACCOUNT, "account %s does not exist: somebody must send it tokens first", e.signer)
	}
	key := ed25519.PublicKey(e.raw.GetPublicKey())
	if !keyIs(account, e.signer, key) {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_SIGNATURE, "the public key is not account %s's", e.signer)
	}
	if e.sequenced && e.body.GetSequence() != account.NextSequence {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_SEQUENCE, "sequence is %d, want %d", e.body.GetSequence(), account.NextSequence)
	}
	signed := aitbc.TxSigningBytes(e.raw.GetBody())
	if !b.verify(key, signed, e.raw.GetSignature()) {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_BAD_SIGNATURE, "the signature does not check")
	}
	if e.sequenced || len(account.PublicKey) == 0 {
		account.PublicKey = key
		if e.sequenced {
			account.NextSequence++
		}
		b.putAccount(e.signer, account)
	}
	if e.sequenced {
		return nil
	}
	return b.once(hashOf(signed), e.body.GetExpiresUs())
}

// once admits a transaction without sequence the first time only. It is known by what was signed,
// and remembered until it has expired.
func (b *Block) once(body aitbc.Hash, expiresUS int64) *refusal {
	if _, there := b.entries.Get(txKey(body)); there {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_DUPLICATE_TX, "the transaction is in a block, or waits for one, already")
	}
	b.put(txKey(body), present)
	b.put(txMinuteKey(expiresUS/minuteUS, body), present)
	return nil
}

// checkExpiry holds for transactions and for orders.
func (b *Block) checkExpiry(expiresUS int64) *refusal {
	now := b.nowUS()
	if expiresUS < now {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_EXPIRED, "expired at %d, the ledger's clock is at %d", expiresUS, now)
	}
	if latest := now + b.base.params.MaxExpiryAheadUS; expiresUS > latest {
		return refuse(ledgerv1.ResultCode_RESULT_CODE_EXPIRED, "expires at %d, at the latest %d is allowed now", expiresUS, latest)
	}
	return nil
}

// keyIs reports whether key is the account's: the one it has used, else the one its address says.
func keyIs(account Account, id aitbc.AccountID, key ed25519.PublicKey) bool {
	if len(account.PublicKey) != 0 {
		return account.PublicKey.Equal(key)
	}
	return len(key) == ed25519.PublicKeySize && aitbc.AccountOf(key) == id
}
