package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

const (
	// Format is what "format" says in the file of a bundle.
	Format = "aitbc-receipt-v1"
	// MaxFileBytes bounds a file: the largest result, every byte of it escaped, and room.
	MaxFileBytes = 16 << 20
)

// file is a bundle's JSON. The order of the fields is the file's.
type file struct {
	Format     string          `json:"format"`
	Receipt    fileReceipt     `json:"receipt"`
	Result     string          `json:"result"`
	Evidence   aitbc.Evidence  `json:"evidence"`
	Proof      fileProof       `json:"proof"`
	Header     fileHeader      `json:"header"`
	Commit     fileCommit      `json:"commit"`
	Validators []fileValidator `json:"validators"`
}

// fileReceipt is what a receipt says, in the ledger's own whole numbers.
type fileReceipt struct {
	ID               string          `json:"receipt_id"`
	JobID            aitbc.JobID     `json:"job_id"`
	Attempt          uint32          `json:"attempt"`
	Client           aitbc.AccountID `json:"client"`
	Operator         aitbc.AccountID `json:"operator"`
	Miner            aitbc.AccountID `json:"miner"`
	Paid             aitbc.Amount    `json:"amount_paid"`
	Refunded         aitbc.Amount    `json:"amount_refunded"`
	PricePerSecond   aitbc.Amount    `json:"price_per_second"`
	MaxPrice         aitbc.Amount    `json:"max_price"`
	MeteredUS        int64           `json:"metered_us"`
	ComputeUS        int64           `json:"compute_us"`
	ExecutionLimitUS int64           `json:"execution_limit_us"`
	PromptTokens     int             `json:"prompt_tokens"`
	OutputTokens     int             `json:"output_tokens"`
	Model            string          `json:"model"`
	ModelDigest      aitbc.Hash      `json:"model_digest"`
	ResultHash       aitbc.Hash      `json:"result_hash"`
}

type fileProof struct {
	LogIndex    uint64       `json:"log_index"`
	LogSize     uint64       `json:"log_size"`
	LogRoot     aitbc.Hash   `json:"log_root"`
	EntriesRoot aitbc.Hash   `json:"entries_root"`
	Path        []aitbc.Hash `json:"path"`
}

var (
	errNoReceipt = errors.New("there is none")
	errNotText   = errors.New("the result is not UTF-8")
	errTooLarge  = fmt.Errorf("it is over %d bytes", MaxFileBytes)
	errFormat    = errors.New(`its "format" is not ` + Format)
	errCanonical = errors.New("it is not written as this format is: a field is unknown, missing, twice or spelled otherwise")
	errSpan      = errors.New("a span that cannot be")
)

// Encode gives the bundle as a file; the same bundle always gives the same bytes. Errors: a result
// that is not UTF-8, a time that cannot be.
func (b *Bundle) Encode() ([]byte, error) {
	if b.Receipt == nil {
		return nil, fmt.Errorf("encode receipt: %w", errNoReceipt)
	}
	if !utf8.Valid(b.Result) {
		return nil, fmt.Errorf("encode receipt: %w", errNotText)
	}
	header, err := headerFile(b.Block.Header)
	if err != nil {
		return nil, fmt.Errorf("encode receipt: %w", err)
	}
	content := file{
		Format:   Format,
		Receipt:  receiptFile(b.Receipt),
		Result:   string(b.Result),
		Evidence: b.Receipt.Evidence,
		Proof: fileProof{
			LogIndex: b.Proof.LogIndex, LogSize: b.Proof.Roots.LogSize, LogRoot: b.Proof.Roots.LogRoot,
			EntriesRoot: b.Proof.Roots.Entries, Path: append([]aitbc.Hash{}, b.Proof.Path...),
		},
		Header:     header,
		Commit:     commitFile(&b.Block),
		Validators: validatorsFile(b.Block.Validators),
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(content); err != nil {
		return nil, fmt.Errorf("encode receipt: %w", err)
	}
	return out.Bytes(), nil
}

// Decode reads a file, strictly: it must be what Encode writes, byte for byte, so that nothing in it
// is left unread and unchecked. Errors: [*LinkError].
func Decode(data []byte) (*Bundle, error) {
	if len(data) > MaxFileBytes {
		return nil, &LinkError{Link: LinkFile, Err: errTooLarge}
	}
	b, err := decode(data)
	if err != nil {
		return nil, &LinkError{Link: LinkFile, Err: err}
	}
	again, err := b.Encode()
	if err != nil {
		return nil, &LinkError{Link: LinkFile, Err: err}
	}
	if !bytes.Equal(again, data) {
		return nil, &LinkError{Link: LinkFile, Err: errCanonical}
	}
	return b, nil
}

func decode(data []byte) (*Bundle, error) {
	var content file
	if err := json.Unmarshal(data, &content); err != nil {
		return nil, err
	}
	if content.Format != Format {
		return nil, errFormat
	}
	receipt, err := content.Receipt.receipt()
	if err != nil {
		return nil, err
	}
	receipt.Evidence = content.Evidence
	block, err := content.block()
	if err != nil {
		return nil, err
	}
	p := content.Proof
	return &Bundle{
		Receipt: receipt,
		Result:  []byte(content.Result),
		Proof: Proof{
			LogIndex: p.LogIndex, Path: p.Path,
			Roots: aitbc.StateRoots{Entries: p.EntriesRoot, LogSize: p.LogSize, LogRoot: p.LogRoot},
		},
		Block: *block,
	}, nil
}

func receiptFile(r *aitbc.Receipt) fileReceipt {
	return fileReceipt{
		ID: r.ID, JobID: r.JobID, Attempt: r.Attempt, Client: r.Client, Operator: r.Operator, Miner: r.Miner,
		Paid: r.Paid, Refunded: r.Refunded, PricePerSecond: r.Meter.PricePerSecond, MaxPrice: r.Meter.MaxPrice,
		MeteredUS: r.Meter.Metered.Microseconds(), ComputeUS: r.Meter.Compute.Microseconds(),
		ExecutionLimitUS: r.Meter.ExecutionLimit.Microseconds(),
		PromptTokens:     r.Meter.PromptTokens, OutputTokens: r.Meter.OutputTokens,
		Model: r.Model, ModelDigest: r.ModelDigest, ResultHash: r.ResultHash,
	}
}

func (f fileReceipt) receipt() (*aitbc.Receipt, error) {
	for _, us := range []int64{f.MeteredUS, f.ComputeUS, f.ExecutionLimitUS} {
		if us < 0 || us > math.MaxInt64/int64(time.Microsecond) {
			return nil, errSpan
		}
	}
	return &aitbc.Receipt{
		ID: f.ID, JobID: f.JobID, Attempt: f.Attempt, Client: f.Client, Operator: f.Operator, Miner: f.Miner,
		Paid: f.Paid, Refunded: f.Refunded, Model: f.Model, ModelDigest: f.ModelDigest, ResultHash: f.ResultHash,
		Meter: aitbc.Meter{
			Metered: time.Duration(f.MeteredUS) * time.Microsecond, Compute: time.Duration(f.ComputeUS) * time.Microsecond,
			ExecutionLimit: time.Duration(f.ExecutionLimitUS) * time.Microsecond,
			PricePerSecond: f.PricePerSecond, MaxPrice: f.MaxPrice, PromptTokens: f.PromptTokens, OutputTokens: f.OutputTokens,
		},
	}, nil
}
