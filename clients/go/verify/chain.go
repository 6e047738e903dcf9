package verify

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/types"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Leaf checks the way from a leaf of the ledger's log to a trusted block hash, without the papers
// behind the leaf. Errors: [*LinkError].
func Leaf(leaf aitbc.ReceiptLeaf, p *Proof, block *Block, trusted aitbc.Hash) error {
	if err := leads(leaf, p, block); err != nil {
		return err
	}
	return isTrusted(block, trusted)
}

func isTrusted(block *Block, trusted aitbc.Hash) error {
	if trusted.IsZero() {
		return broken(LinkBlockHash, "none was given to trust")
	}
	if hash := block.Hash(); hash != trusted {
		return broken(LinkBlockHash, "block %d has %s, not the trusted %s", block.Header.Height, hash, trusted)
	}
	return nil
}

// leads checks the way from a leaf to a signed header.
func leads(leaf aitbc.ReceiptLeaf, p *Proof, block *Block) error {
	if err := included(leaf, p); err != nil {
		return &LinkError{Link: LinkLog, Err: err}
	}
	hash := p.Roots.AppHash()
	if !bytes.Equal(hash[:], block.Header.AppHash) {
		return broken(LinkAppHash, "entries, log size and log root give %s, the header has %x", hash, []byte(block.Header.AppHash))
	}
	if block.Header.Height < 1 || block.Hash().IsZero() {
		return broken(LinkHeader, "it is incomplete: height %d, or it has no validators, or a time that cannot be", block.Header.Height)
	}
	return signed(block)
}

func included(leaf aitbc.ReceiptLeaf, p *Proof) error {
	if leaf.LogIndex != p.LogIndex {
		return fmt.Errorf("the proof is for receipt %d, not %d", p.LogIndex, leaf.LogIndex)
	}
	path := make([][]byte, len(p.Path))
	for i := range p.Path {
		path[i] = p.Path[i][:]
	}
	hasher := rfc6962.DefaultHasher
	return proof.VerifyInclusion(hasher, p.LogIndex, p.Roots.LogSize, hasher.HashLeaf(leaf.Bytes()), path, p.Roots.LogRoot[:])
}

// signed checks that the header's validators signed it.
func signed(block *Block) error {
	set, err := validatorSet(block.Validators)
	if err != nil {
		return &LinkError{Link: LinkValidators, Err: err}
	}
	if hash := set.Hash(); !bytes.Equal(hash, block.Header.ValidatorsHash) {
		return broken(LinkValidators, "their hash is %x, the header has %x", hash, []byte(block.Header.ValidatorsHash))
	}
	// CometBFT panics when it has to write down what these two could not be.
	if err := block.Parts.ValidateBasic(); err != nil {
		return &LinkError{Link: LinkSignatures, Err: err}
	}
	if slices.ContainsFunc(block.Validators, timeless) {
		return &LinkError{Link: LinkSignatures, Err: errVoteTime}
	}
	id := types.BlockID{Hash: block.Header.Hash(), PartSetHeader: block.Parts}
	commit := &types.Commit{Height: block.Header.Height, Round: block.Round, BlockID: id, Signatures: votes(set, block.Validators)}
	if err := commit.ValidateBasic(); err != nil {
		return &LinkError{Link: LinkSignatures, Err: err}
	}
	if err := types.VerifyCommit(block.Header.ChainID, set, id, block.Header.Height, commit); err != nil {
		return &LinkError{Link: LinkSignatures, Err: err}
	}
	return nil
}

// maxValidators is CometBFT's own bound on the votes of a block.
const maxValidators = types.MaxVotesCount

var (
	errNoValidators   = errors.New("there are none, or too many")
	errOrder          = errors.New("they are not in their order: by power, then by address")
	errVoteTime       = errors.New("a vote has a time that cannot be")
	errPublicKeyShape = errors.New("a public key is not one of Ed25519")
)

// validatorSet makes CometBFT's set, which adds up the power and refuses a sum or a part that cannot be.
func validatorSet(list []Validator) (*types.ValidatorSet, error) {
	if len(list) == 0 || len(list) > maxValidators {
		return nil, errNoValidators
	}
	validators := make([]*types.Validator, len(list))
	for i, v := range list {
		if len(v.PublicKey) != ed25519.PubKeySize {
			return nil, errPublicKeyShape
		}
		key := ed25519.PubKey(v.PublicKey)
		validators[i] = &types.Validator{Address: key.Address(), PubKey: key, VotingPower: v.Power}
	}
	set, err := types.ValidatorSetFromExistingValidators(validators)
	if err != nil {
		return nil, err
	}
	for i, v := range set.Validators {
		if !bytes.Equal(v.PubKey.Bytes(), list[i].PublicKey) {
			return nil, errOrder
		}
	}
	return set, nil
}

// timeless reports whether a vote's time is none that CometBFT's messages can hold.
func timeless(v Validator) bool {
	year := v.SignedTime.Year()
	return year < 1 || year > 9999
}

func votes(set *types.ValidatorSet, list []Validator) []types.CommitSig {
	votes := make([]types.CommitSig, len(list))
	for i, v := range list {
		if len(v.Signature) == 0 {
			votes[i] = types.NewCommitSigAbsent()
			continue
		}
		votes[i] = types.CommitSig{
			BlockIDFlag: types.BlockIDFlagCommit, ValidatorAddress: set.Validators[i].Address,
			Timestamp: v.SignedTime, Signature: v.Signature,
		}
	}
	return votes
}
