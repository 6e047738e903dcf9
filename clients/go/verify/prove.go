package verify

import (
	"context"
	"fmt"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
	"google.golang.org/grpc"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// At chooses the header that a proof shall lead to: by height, or by hash, which the answer is
// checked against. The zero value is the latest header that the node has.
type At struct {
	Height    int64
	BlockHash aitbc.Hash
}

// Prover gives proofs: any node of the ledger, such as [aitbc.Ledger].
type Prover interface {
	GetReceiptProof(ctx context.Context, req *ledgerv1.GetReceiptProofRequest, opts ...grpc.CallOption) (*ledgerv1.GetReceiptProofResponse, error)
}

// Prove asks a node for the proof of a receipt and puts it into a bundle with the receipt and its
// result. A bundle that it gives is [Consistent]. To renew the proof of an older bundle, pass that
// one's receipt and result; everything from the receipt's own block on can be proven against any
// later header. Errors: [*LinkError] when something does not fit, else the call's.
func Prove(ctx context.Context, node Prover, receipt *aitbc.Receipt, result []byte, at At) (*Bundle, error) {
	proven := provable(receipt)
	if err := checkReceipt(proven, result); err != nil {
		return nil, err
	}
	request := &ledgerv1.GetReceiptProofRequest{
		JobId: receipt.JobID.String(), OperatorId: receipt.Operator.String(), Height: at.Height,
	}
	if !at.BlockHash.IsZero() {
		request.BlockHash = at.BlockHash[:]
	}
	answer, err := node.GetReceiptProof(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("ask the ledger for a proof: %w", err)
	}
	p, err := proofOf(answer.GetProof(), proven)
	if err != nil {
		return nil, err
	}
	block, err := blockOf(answer.GetLightBlock())
	if err != nil {
		return nil, &LinkError{Link: LinkHeader, Err: err}
	}
	b := &Bundle{Receipt: proven, Result: result, Proof: *p, Block: *block}
	if at.BlockHash.IsZero() {
		return b, Consistent(b)
	}
	return b, Receipt(b, at.BlockHash)
}

// provable gives a copy of the receipt without what is only the coordinator's word.
func provable(r *aitbc.Receipt) *aitbc.Receipt {
	if r == nil {
		return nil
	}
	return &aitbc.Receipt{
		ID: r.ID, JobID: r.JobID, Client: r.Client, Miner: r.Miner, Operator: r.Operator, Paid: r.Paid, Refunded: r.Refunded,
		ResultHash: r.ResultHash, Attempt: r.Attempt, Model: r.Model, ModelDigest: r.ModelDigest,
		Meter: aitbc.Meter{
			Metered: r.Meter.Metered, Compute: r.Meter.Compute, ExecutionLimit: r.Meter.ExecutionLimit,
			PricePerSecond: r.Meter.PricePerSecond, MaxPrice: r.Meter.MaxPrice,
			PromptTokens: r.Meter.PromptTokens, OutputTokens: r.Meter.OutputTokens,
		},
		Evidence: provableEvidence(r.Evidence),
	}
}

func provableEvidence(e aitbc.Evidence) aitbc.Evidence {
	if len(e.OrderSignature) == 0 {
		e.ClientKey = nil // nothing was signed with it
	}
	return e
}

// proofOf reads a node's proof and holds the ledger's receipt against ours: a difference found here
// has a name, one found by its hash has not.
func proofOf(m *ledgerv1.ReceiptProof, receipt *aitbc.Receipt) (*Proof, error) {
	theirs, err := aitbc.ReceiptLeafOf(m.GetReceipt())
	if err != nil {
		return nil, &LinkError{Link: LinkLog, Err: err}
	}
	ours, err := LeafOf(receipt, theirs.LogIndex)
	if err != nil {
		return nil, err
	}
	if name := difference(ours, theirs); name != "" {
		return nil, broken(LinkLog, "the ledger's receipt has another %s than this one", name)
	}
	var r hashReader
	p := &Proof{
		LogIndex: theirs.LogIndex,
		Roots: aitbc.StateRoots{
			Entries: r.read("entries_root", m.GetEntriesRoot()), LogSize: m.GetLogSize(), LogRoot: r.read("log_root", m.GetLogRoot()),
		},
	}
	for _, hash := range m.GetPath() {
		p.Path = append(p.Path, r.read("path", hash))
	}
	if r.err != nil {
		return nil, &LinkError{Link: LinkLog, Err: r.err}
	}
	return p, nil
}

// difference names the first field in which two leaves differ.
func difference(a, b aitbc.ReceiptLeaf) string {
	for _, field := range []struct {
		name string
		same bool
	}{
		{"job", a.JobID == b.JobID},
		{"client", a.Client == b.Client},
		{"operator", a.Operator == b.Operator},
		{"miner", a.Miner == b.Miner},
		{"attempt", a.Attempt == b.Attempt},
		{"order", a.OrderHash == b.OrderHash},
		{"lease", a.LeaseHash == b.LeaseHash},
		{"statement", a.StatementHash == b.StatementHash},
		{"result", a.ResultCommitment == b.ResultCommitment},
		{"compute time", a.ComputeUS == b.ComputeUS},
		{"metered time", a.MeteredUS == b.MeteredUS},
		{"payment", a.Paid == b.Paid},
		{"refund", a.Refunded == b.Refunded},
	} {
		if !field.same {
			return field.name
		}
	}
	return ""
}

// blockOf reads CometBFT's own message. Votes that are not for the block are left out.
func blockOf(data []byte) (*Block, error) {
	var light cmtproto.LightBlock
	if err := light.Unmarshal(data); err != nil {
		return nil, fmt.Errorf("read light block: %w", err)
	}
	if light.SignedHeader.GetHeader() == nil || light.SignedHeader.GetCommit() == nil {
		return nil, fmt.Errorf("read light block: %w: it has no header or no commit", aitbc.ErrMalformed)
	}
	header, err := types.HeaderFromProto(light.SignedHeader.Header)
	if err != nil {
		return nil, fmt.Errorf("read light block: %w", err)
	}
	commit, validators := light.SignedHeader.Commit, light.ValidatorSet.GetValidators()
	if len(commit.Signatures) != len(validators) {
		return nil, fmt.Errorf("read light block: %w: %d votes of %d validators", aitbc.ErrMalformed, len(commit.Signatures), len(validators))
	}
	block := &Block{
		Header: header, Round: commit.Round,
		Parts:      types.PartSetHeader{Total: commit.BlockID.PartSetHeader.Total, Hash: commit.BlockID.PartSetHeader.Hash},
		Validators: make([]Validator, len(validators)),
	}
	for i, v := range validators {
		key := v.GetPubKey()
		block.Validators[i] = Validator{PublicKey: key.GetEd25519(), Power: v.GetVotingPower()}
		if vote := commit.Signatures[i]; vote.BlockIdFlag == cmtproto.BlockIDFlagCommit {
			block.Validators[i].SignedTime, block.Validators[i].Signature = vote.Timestamp.UTC(), vote.Signature
		}
	}
	return block, nil
}
