package verify

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/cometbft/cometbft/crypto"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// fileHeader is CometBFT's header, all of it: its hash covers every field.
type fileHeader struct {
	BlockVersion       uint64     `json:"block_version"`
	AppVersion         uint64     `json:"app_version"`
	ChainID            string     `json:"chain_id"`
	Height             int64      `json:"height"`
	Time               time.Time  `json:"time"`
	LastBlockHash      aitbc.Hash `json:"last_block_hash"`
	LastPartsTotal     uint32     `json:"last_parts_total"`
	LastPartsHash      aitbc.Hash `json:"last_parts_hash"`
	LastCommitHash     aitbc.Hash `json:"last_commit_hash"`
	DataHash           aitbc.Hash `json:"data_hash"`
	ValidatorsHash     aitbc.Hash `json:"validators_hash"`
	NextValidatorsHash aitbc.Hash `json:"next_validators_hash"`
	ConsensusHash      aitbc.Hash `json:"consensus_hash"`
	AppHash            aitbc.Hash `json:"app_hash"`
	LastResultsHash    aitbc.Hash `json:"last_results_hash"`
	EvidenceHash       aitbc.Hash `json:"evidence_hash"`
	ProposerAddress    string     `json:"proposer_address"`
}

// fileCommit is what the votes name besides chain, height and header.
type fileCommit struct {
	Round      int32      `json:"round"`
	PartsTotal uint32     `json:"parts_total"`
	PartsHash  aitbc.Hash `json:"parts_hash"`
}

// fileValidator is a validator; the last two are missing when it did not vote for the block.
type fileValidator struct {
	PublicKey  []byte    `json:"public_key"`
	Power      int64     `json:"power"`
	SignedTime time.Time `json:"signed_at,omitzero"`
	Signature  []byte    `json:"signature,omitempty"`
}

// hashReader makes hashes of bytes, which may be missing, and keeps the first fault.
type hashReader struct{ err error }

func (r *hashReader) read(name string, b []byte) aitbc.Hash {
	switch {
	case len(b) == 0:
		return aitbc.Hash{}
	case len(b) != len(aitbc.Hash{}):
		if r.err == nil {
			r.err = fmt.Errorf("%s has %d bytes, want 32", name, len(b))
		}
		return aitbc.Hash{}
	}
	return aitbc.Hash(b)
}

func headerFile(h types.Header) (fileHeader, error) {
	var r hashReader
	f := fileHeader{
		BlockVersion: h.Version.Block, AppVersion: h.Version.App, ChainID: h.ChainID, Height: h.Height, Time: h.Time.UTC(),
		LastBlockHash:      r.read("last_block_hash", h.LastBlockID.Hash),
		LastPartsTotal:     h.LastBlockID.PartSetHeader.Total,
		LastPartsHash:      r.read("last_parts_hash", h.LastBlockID.PartSetHeader.Hash),
		LastCommitHash:     r.read("last_commit_hash", h.LastCommitHash),
		DataHash:           r.read("data_hash", h.DataHash),
		ValidatorsHash:     r.read("validators_hash", h.ValidatorsHash),
		NextValidatorsHash: r.read("next_validators_hash", h.NextValidatorsHash),
		ConsensusHash:      r.read("consensus_hash", h.ConsensusHash),
		AppHash:            r.read("app_hash", h.AppHash),
		LastResultsHash:    r.read("last_results_hash", h.LastResultsHash),
		EvidenceHash:       r.read("evidence_hash", h.EvidenceHash),
		ProposerAddress:    hex.EncodeToString(h.ProposerAddress),
	}
	return f, r.err
}

// bytesOf gives nothing for no hash: CometBFT tells an empty hash from one of zeros.
func bytesOf(h aitbc.Hash) []byte {
	if h.IsZero() {
		return nil
	}
	return h[:]
}

func (f fileHeader) header() (types.Header, error) {
	proposer, err := hex.DecodeString(f.ProposerAddress)
	if err != nil || len(proposer) != crypto.AddressSize {
		return types.Header{}, fmt.Errorf("header: proposer_address is not %d bytes in hex", crypto.AddressSize)
	}
	return types.Header{
		Version: cmtversion.Consensus{Block: f.BlockVersion, App: f.AppVersion},
		ChainID: f.ChainID, Height: f.Height, Time: f.Time.UTC(),
		LastBlockID: types.BlockID{
			Hash:          bytesOf(f.LastBlockHash),
			PartSetHeader: types.PartSetHeader{Total: f.LastPartsTotal, Hash: bytesOf(f.LastPartsHash)},
		},
		LastCommitHash:     bytesOf(f.LastCommitHash),
		DataHash:           bytesOf(f.DataHash),
		ValidatorsHash:     bytesOf(f.ValidatorsHash),
		NextValidatorsHash: bytesOf(f.NextValidatorsHash),
		ConsensusHash:      bytesOf(f.ConsensusHash),
		AppHash:            bytesOf(f.AppHash),
		LastResultsHash:    bytesOf(f.LastResultsHash),
		EvidenceHash:       bytesOf(f.EvidenceHash),
		ProposerAddress:    proposer,
	}, nil
}

func (f file) block() (*Block, error) {
	header, err := f.Header.header()
	if err != nil {
		return nil, err
	}
	block := &Block{
		Header: header, Round: f.Commit.Round,
		Parts:      types.PartSetHeader{Total: f.Commit.PartsTotal, Hash: bytesOf(f.Commit.PartsHash)},
		Validators: make([]Validator, len(f.Validators)),
	}
	for i, v := range f.Validators {
		block.Validators[i] = Validator{PublicKey: v.PublicKey, Power: v.Power, SignedTime: v.SignedTime.UTC(), Signature: v.Signature}
	}
	return block, nil
}

func commitFile(b *Block) fileCommit {
	var r hashReader // a wrong one is zero here, and breaks the signatures
	return fileCommit{Round: b.Round, PartsTotal: b.Parts.Total, PartsHash: r.read("parts_hash", b.Parts.Hash)}
}

// validatorsFile leaves out times without a signature, as nothing would check them.
func validatorsFile(list []Validator) []fileValidator {
	files := make([]fileValidator, len(list))
	for i, v := range list {
		files[i] = fileValidator{PublicKey: v.PublicKey, Power: v.Power}
		if len(v.Signature) != 0 {
			files[i].SignedTime, files[i].Signature = v.SignedTime.UTC(), v.Signature
		}
	}
	return files
}
