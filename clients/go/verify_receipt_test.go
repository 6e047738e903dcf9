package aitbc_test

import (
	"crypto/ed25519"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// dossier is a receipt in the making: what is signed, by whom, and what the receipt says of it.
type dossier struct {
	client, operator, miner ed25519.PrivateKey
	result                  []byte
	order                   aitbc.Order
	lease                   aitbc.Lease
	statement               aitbc.Statement
	acceptance              aitbc.Acceptance
	relink                  bool // hashes follow from the parts
	receipt                 *aitbc.Receipt
}

func account(key ed25519.PrivateKey) aitbc.AccountID {
	return aitbc.AccountOf(ed25519.PublicKey(key[ed25519.SeedSize:]))
}

func newDossier(t *testing.T) *dossier {
	t.Helper()
	file := readVectors(t)
	d := &dossier{
		client: file.key(t, "client"), operator: file.key(t, "operator"), miner: file.key(t, "miner"),
		result: []byte("an answer"), relink: true,
	}
	salt := aitbc.Salt{1, 2, 3}
	d.order = aitbc.Order{
		ChainID: "c", Client: account(d.client), Operator: account(d.operator), JobID: someJob,
		Price: 20_000, MaxPrice: 6_000_000, ExecutionLimitUS: 300e6,
	}
	d.lease = aitbc.Lease{
		ChainID: "c", JobID: someJob, Attempt: 2, Operator: account(d.operator), Miner: account(d.miner), Model: "m:latest",
		ModelDigest: aitbc.Hash{9},
	}
	d.statement = aitbc.Statement{
		ChainID: "c", JobID: someJob, Attempt: 2, ResultCommitment: aitbc.Commitment(salt, aitbc.ResultHash(d.result)),
		Model: "m:latest", ModelDigest: aitbc.Hash{9}, ComputeUS: 12_500_000, PromptTokens: 15, OutputTokens: 150,
	}
	d.acceptance = aitbc.Acceptance{ChainID: "c", JobID: someJob, MeteredUS: 12_500_000}
	d.receipt = &aitbc.Receipt{
		ID: someJob.ReceiptID(), JobID: someJob, Client: d.order.Client, Operator: d.order.Operator, Miner: d.lease.Miner,
		Paid: 250_000, Refunded: 5_750_000, ResultHash: aitbc.ResultHash(d.result), Attempt: 2, Model: "m:latest", ModelDigest: aitbc.Hash{9},
		Meter: aitbc.Meter{
			Metered: 12500 * time.Millisecond, Compute: 12500 * time.Millisecond, ExecutionLimit: 300 * time.Second,
			PricePerSecond: 20_000, MaxPrice: 6_000_000, PromptTokens: 15, OutputTokens: 150,
		},
	}
	d.receipt.Evidence.Salt = salt[:]
	return d
}

// sign links and signs the parts as they are now.
func (d *dossier) sign() {
	if d.relink {
		d.lease.OrderHash = d.order.Hash()
		d.statement.LeaseHash = d.lease.Hash()
		d.acceptance.StatementHash = d.statement.Hash()
	}
	e := &d.receipt.Evidence
	e.Order, e.Lease, e.Statement, e.Acceptance = d.order.SigningBytes(), d.lease.SigningBytes(), d.statement.SigningBytes(), d.acceptance.SigningBytes()
	e.OrderSignature, e.LeaseSignature = aitbc.Sign(d.client, e.Order), aitbc.Sign(d.operator, e.Lease)
	e.StatementSignature, e.AcceptanceSignature = aitbc.Sign(d.miner, e.Statement), aitbc.Sign(d.operator, e.Acceptance)
	e.ClientKey, e.OperatorKey, e.MinerKey = d.client[32:], d.operator[32:], d.miner[32:]
}

func TestGoodReceiptsCheck(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*dossier){
		"paid by a signed order": func(*dossier) {},
		"capped by the price limit": func(d *dossier) {
			d.order.MaxPrice, d.receipt.Meter.MaxPrice = 100_000, 100_000
			d.receipt.Paid, d.receipt.Refunded = 100_000, 0
		},
		"metered less than the miner measured": func(d *dossier) {
			d.acceptance.MeteredUS, d.receipt.Meter.Metered = 1_000_000, time.Second
			d.receipt.Paid, d.receipt.Refunded = 20_000, 5_980_000
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDossier(t)
			change(d)
			d.sign()
			require.NoError(t, aitbc.VerifyReceipt(d.receipt, d.result))
			d.receipt.Evidence.OrderSignature, d.receipt.Evidence.ClientKey = nil, nil
			require.NoError(t, aitbc.VerifyReceipt(d.receipt, d.result), "by an allowance")
		})
	}
}

// Each of these is signed properly by whoever lies.
func TestReceiptsThatDoNotHangTogether(t *testing.T) {
	t.Parallel()
	other := aitbc.JobID{1}
	unlinked := func(change func(*dossier)) func(*dossier) {
		return func(d *dossier) {
			d.sign()
			d.relink = false
			change(d)
		}
	}
	for want, changes := range map[string][]func(*dossier){
		"lease: is for the order": {unlinked(func(d *dossier) { d.order.SettleByUS++ })},
		"lease: chain, job and operator": {
			func(d *dossier) { d.lease.ChainID = "x" },
			func(d *dossier) { d.lease.JobID = other },
			func(d *dossier) { d.lease.Operator = d.order.Client },
		},
		"statement: is for the lease": {unlinked(func(d *dossier) { d.lease.IssuedUS++ })},
		"statement: chain, job and attempt": {
			func(d *dossier) { d.statement.ChainID = "x" },
			func(d *dossier) { d.statement.JobID = other },
			func(d *dossier) { d.statement.Attempt = 1 },
		},
		"statement: model and digest": {
			func(d *dossier) { d.statement.Model = "small" },
			func(d *dossier) { d.statement.ModelDigest = aitbc.Hash{8} },
		},
		"acceptance: is for the statement": {unlinked(func(d *dossier) { d.statement.Stopped = true })},
		"acceptance: chain and job": {
			func(d *dossier) { d.acceptance.ChainID = "x" },
			func(d *dossier) { d.acceptance.JobID = other },
		},
		"result: has the receipt's hash": {
			func(d *dossier) { d.result = []byte("another answer") },
			func(d *dossier) { d.receipt.ResultHash = aitbc.Hash{1} },
		},
		"result: is the one the miner signed for": {
			func(d *dossier) { d.statement.ResultCommitment = aitbc.Hash{1} },
			func(d *dossier) { d.receipt.Evidence.Salt = make([]byte, 32) },
		},
		"metered time: is not negative":                       {func(d *dossier) { d.acceptance.MeteredUS = -1 }},
		"metered time: is within the miner's compute time":    {func(d *dossier) { d.acceptance.MeteredUS++ }},
		"metered time: is within the order's execution limit": {func(d *dossier) { d.order.ExecutionLimitUS = 1 }},
		"execution limit: is a time that can be":              {func(d *dossier) { d.order.ExecutionLimitUS = math.MaxInt64 }},
		"payment: is metered time times price":                {func(d *dossier) { d.receipt.Paid++ }, func(d *dossier) { d.order.Price = 19_999 }},
		"refund: is the rest":                                 {func(d *dossier) { d.receipt.Refunded-- }, func(d *dossier) { d.order.MaxPrice++ }},
		"job: is the order's":                                 {func(d *dossier) { d.receipt.JobID = other }, func(d *dossier) { d.receipt.ID = other.ReceiptID() }},
		"accounts: are the signed ones": {
			func(d *dossier) { d.receipt.Client = d.order.Operator },
			func(d *dossier) { d.receipt.Operator = d.order.Client },
			func(d *dossier) { d.receipt.Miner = d.order.Client },
		},
		"attempt: is the lease's":   {func(d *dossier) { d.receipt.Attempt = 1 }},
		"model: is the statement's": {func(d *dossier) { d.receipt.Model = "large" }, func(d *dossier) { d.receipt.ModelDigest = aitbc.Hash{} }},
		"meter: shows the signed times": {
			func(d *dossier) { d.receipt.Meter.Metered++ },
			func(d *dossier) { d.receipt.Meter.Compute++ },
			func(d *dossier) { d.receipt.Meter.ExecutionLimit++ },
		},
		"meter: shows the signed prices": {func(d *dossier) { d.receipt.Meter.PricePerSecond++ }, func(d *dossier) { d.receipt.Meter.MaxPrice++ }},
		"meter: shows the signed tokens": {func(d *dossier) { d.receipt.Meter.PromptTokens++ }, func(d *dossier) { d.receipt.Meter.OutputTokens++ }},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			for _, change := range changes {
				d := newDossier(t)
				change(d)
				d.sign()
				err := aitbc.VerifyReceipt(d.receipt, d.result)
				require.ErrorIs(t, err, aitbc.ErrReceipt)
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestReceiptsWithWrongSignatures(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*dossier, *aitbc.Evidence){
		"lease: the signature":       func(d *dossier, e *aitbc.Evidence) { e.LeaseSignature = aitbc.Sign(d.miner, e.Lease) },
		"statement: the signature":   func(d *dossier, e *aitbc.Evidence) { e.StatementSignature = aitbc.Sign(d.operator, e.Statement) },
		"acceptance: the signature":  func(_ *dossier, e *aitbc.Evidence) { e.AcceptanceSignature = e.LeaseSignature },
		"order: the signature":       func(_ *dossier, e *aitbc.Evidence) { e.OrderSignature[0] ^= 1 },
		"lease: the public key":      func(_ *dossier, e *aitbc.Evidence) { e.OperatorKey = e.MinerKey },
		"statement: the public key":  func(_ *dossier, e *aitbc.Evidence) { e.MinerKey = nil },
		"order: the public key":      func(_ *dossier, e *aitbc.Evidence) { e.ClientKey = e.MinerKey },
		"salt of 31 bytes":           func(_ *dossier, e *aitbc.Evidence) { e.Salt = e.Salt[1:] },
		"read order: malformed":      func(_ *dossier, e *aitbc.Evidence) { e.Order = nil },
		"read lease: malformed":      func(_ *dossier, e *aitbc.Evidence) { e.Lease = e.Order },
		"read statement: malformed":  func(_ *dossier, e *aitbc.Evidence) { e.Statement = e.Statement[1:] },
		"read acceptance: malformed": func(_ *dossier, e *aitbc.Evidence) { e.Acceptance = append(e.Acceptance, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDossier(t)
			d.sign()
			change(d, &d.receipt.Evidence)
			err := aitbc.VerifyReceipt(d.receipt, d.result)
			require.ErrorIs(t, err, aitbc.ErrReceipt)
			require.ErrorContains(t, err, name)
		})
	}
	require.ErrorIs(t, aitbc.VerifyReceipt(nil, nil), aitbc.ErrReceipt)
}
