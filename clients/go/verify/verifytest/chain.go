// Package verifytest is a ledger in memory for tests of programs that check receipts: a chain of
// signed headers over a log of receipts, and a node that proves them. There is no consensus and no
// state. Where there are four validators or more the last one never votes; where there are seven or
// more the one before it votes for no block; all others sign every header.
//
// Start with NewChain; Serve makes a node of it that listens.
package verifytest

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/verify"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// Source finds the receipt of a job that the chain has not heard of; nil: it has none.
type Source func(ctx context.Context, job aitbc.JobID) (*aitbc.Receipt, error)

// Chain is a ledger in memory. Many goroutines may use it.
type Chain struct {
	chainID string
	keys    map[string]crypto.PrivKey // by address
	set     *types.ValidatorSet
	source  Source

	mu     sync.Mutex
	log    *testonly.Tree
	leaves map[aitbc.JobID]aitbc.ReceiptLeaf
	blocks []block // that of height 1 first
}

// block is a signed header and what its app hash commits to.
type block struct {
	light *types.LightBlock
	roots aitbc.StateRoots
}

// NewChain makes a chain with so many validators, at least one, which has one block. The source may
// be nil.
func NewChain(chainID string, validators int, source Source) *Chain {
	c := &Chain{
		chainID: chainID, keys: map[string]crypto.PrivKey{}, source: source,
		log: testonly.New(rfc6962.DefaultHasher), leaves: map[aitbc.JobID]aitbc.ReceiptLeaf{},
	}
	list := make([]*types.Validator, validators)
	for i := range list {
		key := ed25519.GenPrivKeyFromSecret([]byte{byte(i)})
		c.keys[string(key.PubKey().Address())] = key
		list[i] = types.NewValidator(key.PubKey(), int64(1000-i))
	}
	c.set = types.NewValidatorSet(list)
	c.mine()
	return c
}

// Add puts a receipt into the log, and makes the block that can prove it.
func (c *Chain) Add(r *aitbc.Receipt) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.add(r)
}

func (c *Chain) add(r *aitbc.Receipt) error {
	leaf, err := verify.LeafOf(r, c.log.Size())
	if err != nil {
		return err
	}
	c.log.AppendData(leaf.Bytes())
	c.leaves[r.JobID] = leaf
	c.mine()
	return nil
}

// Mine makes a block in which nothing happens.
func (c *Chain) Mine() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mine()
}

// BlockHash gives the hash of the last block.
func (c *Chain) BlockHash() aitbc.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	return aitbc.Hash(c.blocks[len(c.blocks)-1].light.Hash())
}

// mine makes a block whose header commits to the log as it is.
func (c *Chain) mine() {
	height := int64(len(c.blocks) + 1)
	roots := aitbc.StateRoots{Entries: sha256.Sum256([]byte{byte(height)}), LogSize: c.log.Size(), LogRoot: aitbc.Hash(c.log.Hash())}
	some, appHash := sha256.Sum256([]byte("anything")), roots.AppHash()
	header := types.Header{
		Version: cmtversion.Consensus{Block: version.BlockProtocol}, ChainID: c.chainID, Height: height,
		Time:           time.Date(2026, 1, 2, 3, 4, int(height), 5, time.UTC),
		LastCommitHash: some[:], DataHash: some[:], ConsensusHash: some[:], LastResultsHash: some[:], EvidenceHash: some[:],
		ValidatorsHash: c.set.Hash(), NextValidatorsHash: c.set.Hash(), AppHash: appHash[:], ProposerAddress: c.set.Validators[0].Address,
	}
	if len(c.blocks) > 0 {
		header.LastBlockID = c.blocks[len(c.blocks)-1].light.Commit.BlockID
	}
	light := &types.LightBlock{SignedHeader: &types.SignedHeader{Header: &header}, ValidatorSet: c.set}
	light.Commit = c.sign(&header)
	c.blocks = append(c.blocks, block{light: light, roots: roots})
}

func (c *Chain) sign(h *types.Header) *types.Commit {
	some := sha256.Sum256([]byte("parts"))
	commit := &types.Commit{
		Height: h.Height, Round: 1, BlockID: types.BlockID{Hash: h.Hash(), PartSetHeader: types.PartSetHeader{Total: 1, Hash: some[:]}},
		Signatures: make([]types.CommitSig, c.set.Size()),
	}
	for i, v := range c.set.Validators {
		flag := types.BlockIDFlagCommit
		switch {
		case i >= 3 && i == c.set.Size()-1:
			commit.Signatures[i] = types.NewCommitSigAbsent()
			continue
		case i >= 5 && i == c.set.Size()-2:
			flag = types.BlockIDFlagNil
		}
		commit.Signatures[i] = types.CommitSig{BlockIDFlag: flag, ValidatorAddress: v.Address, Timestamp: h.Time.Add(time.Second)}
		signature, err := c.keys[string(v.Address)].Sign(commit.VoteSignBytes(c.chainID, int32(i)))
		if err != nil {
			panic(err) // Ed25519 cannot fail
		}
		commit.Signatures[i].Signature = signature
	}
	return commit
}

var _ verify.Prover = (*Chain)(nil)

// GetReceiptProof answers as a node of the ledger does.
func (c *Chain) GetReceiptProof(ctx context.Context, req *ledgerv1.GetReceiptProofRequest, _ ...grpc.CallOption) (*ledgerv1.GetReceiptProofResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	job, err := aitbc.ParseJobID(req.GetJobId())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	leaf, err := c.leaf(ctx, job)
	if err != nil {
		return nil, err
	}
	height := req.GetHeight()
	if height == 0 {
		height = int64(len(c.blocks))
	}
	for _, b := range c.blocks {
		if len(req.GetBlockHash()) != 0 && string(req.GetBlockHash()) == string(b.light.Hash()) {
			height = b.light.Height
		}
	}
	if height > int64(len(c.blocks)) || c.blocks[height-1].roots.LogSize <= leaf.LogIndex {
		return nil, status.Errorf(codes.FailedPrecondition, "block %d does not prove it", height)
	}
	return c.prove(leaf, c.blocks[height-1])
}

func (c *Chain) leaf(ctx context.Context, job aitbc.JobID) (aitbc.ReceiptLeaf, error) {
	if leaf, known := c.leaves[job]; known {
		return leaf, nil
	}
	if c.source != nil {
		receipt, err := c.source(ctx, job)
		if err != nil {
			return aitbc.ReceiptLeaf{}, err
		}
		if receipt != nil {
			err = c.add(receipt)
			return c.leaves[job], err
		}
	}
	return aitbc.ReceiptLeaf{}, status.Errorf(codes.NotFound, "job %s has no receipt", job)
}

func (c *Chain) prove(leaf aitbc.ReceiptLeaf, b block) (*ledgerv1.GetReceiptProofResponse, error) {
	path, err := c.log.InclusionProof(leaf.LogIndex, b.roots.LogSize)
	if err != nil {
		return nil, err
	}
	light, err := b.light.ToProto()
	if err != nil {
		return nil, err
	}
	raw, err := light.Marshal()
	if err != nil {
		return nil, err
	}
	return &ledgerv1.GetReceiptProofResponse{LightBlock: raw, Proof: &ledgerv1.ReceiptProof{
		Receipt: leaf.Proto(), Height: b.light.Height, EntriesRoot: b.roots.Entries[:],
		LogSize: b.roots.LogSize, LogRoot: b.roots.LogRoot[:], Path: path,
	}}, nil
}
