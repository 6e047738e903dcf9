package verify

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/cometbft/cometbft/types"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Bundle is a receipt with all that is needed to check it.
type Bundle struct {
	// Receipt is the receipt. BlockHeight, Time, TxHash and Meter.OperatorClock are zero: they are
	// the coordinator's word, which no proof covers.
	Receipt *aitbc.Receipt
	// Result is the job's result, byte for byte.
	Result []byte
	// Proof leads from the receipt to the app hash in the block's header.
	Proof Proof
	// Block is the header and who signed it.
	Block Block
}

// Proof leads from a leaf of the ledger's log of receipts to an app hash.
type Proof struct {
	// LogIndex is the leaf's place in the log.
	LogIndex uint64
	// Roots are what the app hash commits to; the log's root among them.
	Roots aitbc.StateRoots
	// Path is the hashes beside the way from the leaf to the log's root (RFC 6962).
	Path []aitbc.Hash
}

// Block is a header with the votes that made it final.
type Block struct {
	// Header is CometBFT's.
	Header types.Header
	// Round and Parts are what the votes name besides the header.
	Round int32
	Parts types.PartSetHeader
	// Validators are all of the height's, in the order in which their hash has them.
	Validators []Validator
}

// Validator is a validator and its vote.
type Validator struct {
	// PublicKey is Ed25519.
	PublicKey ed25519.PublicKey
	// Power is what its vote weighs.
	Power int64
	// SignedTime and Signature are its vote for the block; zero when there is none.
	SignedTime time.Time
	Signature  []byte
}

// Hash gives the block's hash; the zero hash when the header is none that can be.
func (b *Block) Hash() aitbc.Hash {
	hash := b.Header.Hash()
	if len(hash) != len(aitbc.Hash{}) {
		return aitbc.Hash{}
	}
	return aitbc.Hash(hash)
}

// Link is a step of the way from a result to a trusted block hash.
type Link string

// The links, in the order in which they are checked.
const (
	// LinkFile: the bytes are a bundle, written as Encode writes it.
	LinkFile Link = "file"
	// LinkReceipt: result, statement, lease, order and acceptance belong together and are signed,
	// and the receipt says what they say ([aitbc.VerifyReceipt]).
	LinkReceipt Link = "receipt"
	// LinkLog: the receipt is in the ledger's log of receipts, at its place.
	LinkLog Link = "log"
	// LinkAppHash: the header's app hash commits to that log.
	LinkAppHash Link = "app hash"
	// LinkHeader: the header is one, and of the order's chain.
	LinkHeader Link = "header"
	// LinkValidators: the validators are the ones that the header names.
	LinkValidators Link = "validators"
	// LinkSignatures: over two thirds of them signed the header, and no signature is wrong.
	LinkSignatures Link = "signatures"
	// LinkBlockHash: the header is the one that is trusted.
	LinkBlockHash Link = "block hash"
)

// LinkError says which link broke. It wraps [aitbc.ErrReceipt].
type LinkError struct {
	// Link is what broke.
	Link Link
	// Err says how.
	Err error
}

// Error gives the link and what is wrong with it.
func (e *LinkError) Error() string { return fmt.Sprintf("%v: %s: %v", aitbc.ErrReceipt, e.Link, e.Err) }

// Unwrap makes errors.Is work with [aitbc.ErrReceipt] and the cause.
func (e *LinkError) Unwrap() []error { return []error{aitbc.ErrReceipt, e.Err} }

func broken(link Link, format string, args ...any) error {
	return &LinkError{Link: link, Err: fmt.Errorf(format, args...)}
}
