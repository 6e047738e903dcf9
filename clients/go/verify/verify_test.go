package verify_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/aitbctest"
	"github.com/aitbc/aitbc/clients/go/verify"
	"github.com/aitbc/aitbc/clients/go/verify/verifytest"
)

// result is with every kind of character that JSON writes in a way of its own.
const result = "an answer <b>&\"\\\n\u2028\u00e9\U0001F600"

// world is a coordinator with a completed job, and a ledger that holds its receipt among others.
type world struct {
	chain   *verifytest.Chain
	receipt *aitbc.Receipt
}

func newWorld(t testing.TB) world {
	t.Helper()
	return newWorldOf(t, 10)
}

func newWorldOf(t testing.TB, validators int) world {
	t.Helper()
	server, err := aitbctest.Start(aitbctest.Config{Answer: func(context.Context, aitbc.SubmitRequest) (aitbctest.Answer, error) {
		return aitbctest.Answer{Text: result, ComputeTime: 1500 * time.Millisecond, TotalTime: 2 * time.Second}, nil
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	client, err := aitbc.New(server.Target(), aitbc.WithAPIKey(aitbctest.APIKey))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })

	w := world{}
	for i := range 7 {
		receipt := completed(t, client)
		if w.chain == nil {
			order, err := aitbc.ParseOrder(receipt.Evidence.Order)
			require.NoError(t, err)
			w.chain = verifytest.NewChain(order.ChainID, validators, nil)
		}
		require.NoError(t, w.chain.Add(receipt))
		if i == 4 {
			w.receipt = receipt
		}
	}
	return w
}

// completed runs a job and gives its receipt.
func completed(t testing.TB, client *aitbc.Client) *aitbc.Receipt {
	t.Helper()
	submitted, err := client.Submit(t.Context(), aitbc.SubmitRequest{Prompt: "p", Model: "m", MaxPrice: 1_000_000})
	require.NoError(t, err)
	for {
		job, err := client.Get(t.Context(), submitted.JobID)
		require.NoError(t, err)
		if job.Status.Terminal() {
			break
		}
	}
	receipt, err := client.Receipt(t.Context(), submitted.JobID)
	require.NoError(t, err)
	return receipt
}

func (w world) prove(t *testing.T, at verify.At) *verify.Bundle {
	t.Helper()
	b, err := verify.Prove(t.Context(), w.chain, w.receipt, []byte(result), at)
	require.NoError(t, err)
	file, err := b.Encode()
	require.NoError(t, err)
	own, err := verify.Decode(file) // nothing of it is shared with other tests
	require.NoError(t, err)
	return own
}

func requireLink(t *testing.T, err error, link verify.Link) {
	t.Helper()
	var broken *verify.LinkError
	require.ErrorAs(t, err, &broken)
	require.ErrorIs(t, err, aitbc.ErrReceipt)
	require.Equal(t, link, broken.Link, err.Error())
}

func TestAReceiptIsProvenAgainstAnyHeaderFromItsOwnOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.prove(t, verify.At{Height: 6}) // the fifth receipt's block
	require.Equal(t, int64(6), first.Block.Header.Height)
	require.Equal(t, uint64(5), first.Proof.Roots.LogSize)
	require.NoError(t, verify.Receipt(first, first.Block.Hash()))

	w.chain.Mine()
	latest := w.prove(t, verify.At{})
	require.Equal(t, int64(9), latest.Block.Header.Height)
	require.NoError(t, verify.Receipt(latest, w.chain.BlockHash()))
	requireLink(t, verify.Receipt(latest, first.Block.Hash()), verify.LinkBlockHash)
	requireLink(t, verify.Receipt(latest, aitbc.Hash{}), verify.LinkBlockHash)

	byHash := w.prove(t, verify.At{BlockHash: first.Block.Hash()})
	require.Equal(t, first, byHash)
	refreshed, err := verify.Prove(t.Context(), w.chain, byHash.Receipt, byHash.Result, verify.At{})
	require.NoError(t, err)
	require.Equal(t, latest, refreshed)
	leaf, err := verify.LeafOf(latest.Receipt, latest.Proof.LogIndex)
	require.NoError(t, err)
	require.NoError(t, verify.Leaf(leaf, &latest.Proof, &latest.Block, w.chain.BlockHash()))
}

func TestAReceiptAloneInItsLogUnderOneValidatorIsProven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	order, err := aitbc.ParseOrder(w.receipt.Evidence.Order)
	require.NoError(t, err)
	w.chain = verifytest.NewChain(order.ChainID, 1, nil)
	require.NoError(t, w.chain.Add(w.receipt))
	b := w.prove(t, verify.At{})
	require.Empty(t, b.Proof.Path)
	file, err := b.Encode()
	require.NoError(t, err)
	again, err := verify.Decode(file)
	require.NoError(t, err)
	require.NoError(t, verify.Receipt(again, w.chain.BlockHash()))
}

// Each of these was made by somebody who can sign nothing but its own.
func TestTheErrorNamesTheLinkThatBroke(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := newWorld(t)
	hash := w.chain.BlockHash()
	for name, c := range map[string]struct {
		change func(*verify.Bundle)
		want   verify.Link
	}{
		"another result":                {func(b *verify.Bundle) { b.Result = []byte("another") }, verify.LinkReceipt},
		"no receipt":                    {func(b *verify.Bundle) { b.Receipt = nil }, verify.LinkReceipt},
		"more paid than metered":        {func(b *verify.Bundle) { b.Receipt.Paid++ }, verify.LinkReceipt},
		"a forged statement":            {func(b *verify.Bundle) { b.Receipt.Evidence.StatementSignature[9] ^= 1 }, verify.LinkReceipt},
		"a key that signed nothing":     {func(b *verify.Bundle) { b.Receipt.Evidence.OrderSignature = nil }, verify.LinkReceipt},
		"a receipt of another ledger":   {func(b *verify.Bundle) { b.Receipt = other.prove(t, verify.At{}).Receipt }, verify.LinkLog},
		"another place in the log":      {func(b *verify.Bundle) { b.Proof.LogIndex = 3 }, verify.LinkLog},
		"another size of the log":       {func(b *verify.Bundle) { b.Proof.Roots.LogSize++ }, verify.LinkAppHash},
		"a place outside the log":       {func(b *verify.Bundle) { b.Proof.Roots.LogSize = 4 }, verify.LinkLog},
		"another hash beside the way":   {func(b *verify.Bundle) { b.Proof.Path[0][0] ^= 1 }, verify.LinkLog},
		"a hash too few":                {func(b *verify.Bundle) { b.Proof.Path = b.Proof.Path[1:] }, verify.LinkLog},
		"another log":                   {func(b *verify.Bundle) { b.Proof.Roots.LogRoot[0] ^= 1 }, verify.LinkLog},
		"another state":                 {func(b *verify.Bundle) { b.Proof.Roots.Entries[0] ^= 1 }, verify.LinkAppHash},
		"another app hash":              {func(b *verify.Bundle) { b.Block.Header.AppHash[0] ^= 1 }, verify.LinkAppHash},
		"another chain":                 {func(b *verify.Bundle) { b.Block.Header.ChainID = "x" }, verify.LinkHeader},
		"no height":                     {func(b *verify.Bundle) { b.Block.Header.Height = 0 }, verify.LinkHeader},
		"no validators in the header":   {func(b *verify.Bundle) { b.Block.Header.ValidatorsHash = nil }, verify.LinkHeader},
		"a time that cannot be":         {func(b *verify.Bundle) { b.Block.Header.Time = time.Time{}.AddDate(-1, 0, 0) }, verify.LinkHeader},
		"another time":                  {func(b *verify.Bundle) { b.Block.Header.Time = b.Block.Header.Time.Add(1) }, verify.LinkSignatures},
		"no validators":                 {func(b *verify.Bundle) { b.Block.Validators = nil }, verify.LinkValidators},
		"a validator less":              {func(b *verify.Bundle) { b.Block.Validators = b.Block.Validators[:9] }, verify.LinkValidators},
		"validators in another order":   {func(b *verify.Bundle) { v := b.Block.Validators; v[0], v[1] = v[1], v[0] }, verify.LinkValidators},
		"a key of another kind":         {func(b *verify.Bundle) { b.Block.Validators[3].PublicKey = make([]byte, 33) }, verify.LinkValidators},
		"more power":                    {func(b *verify.Bundle) { b.Block.Validators[0].Power++ }, verify.LinkValidators},
		"power over what can be":        {func(b *verify.Bundle) { b.Block.Validators[0].Power = 1 << 62 }, verify.LinkValidators},
		"negative power":                {func(b *verify.Bundle) { b.Block.Validators[0].Power = -1 }, verify.LinkValidators},
		"one wrong signature of eight":  {func(b *verify.Bundle) { b.Block.Validators[7].Signature[5] ^= 1 }, verify.LinkSignatures},
		"a signature cut off":           {func(b *verify.Bundle) { b.Block.Validators[7].Signature = make([]byte, 3) }, verify.LinkSignatures},
		"two thirds and not more":       {func(b *verify.Bundle) { b.Block.Validators[0].Signature, b.Block.Validators[1].Signature = nil, nil }, verify.LinkSignatures},
		"another time of a vote":        {func(b *verify.Bundle) { b.Block.Validators[7].SignedTime = time.Unix(1, 0) }, verify.LinkSignatures},
		"a vote's time that cannot be":  {func(b *verify.Bundle) { b.Block.Validators[7].SignedTime = time.Time{}.AddDate(-1, 0, 0) }, verify.LinkSignatures},
		"another round":                 {func(b *verify.Bundle) { b.Block.Round++ }, verify.LinkSignatures},
		"a negative round":              {func(b *verify.Bundle) { b.Block.Round = -1 }, verify.LinkSignatures},
		"other parts":                   {func(b *verify.Bundle) { b.Block.Parts.Total++ }, verify.LinkSignatures},
		"a hash of parts that is short": {func(b *verify.Bundle) { b.Block.Parts.Hash = []byte{1} }, verify.LinkSignatures},
		"a chain that somebody made up": {func(b *verify.Bundle) { *b = *other.prove(t, verify.At{}) }, verify.LinkBlockHash},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := w.prove(t, verify.At{})
			c.change(b)
			requireLink(t, verify.Receipt(b, hash), c.want)
		})
	}
}

func TestATwoThirdsMajorityIsEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.prove(t, verify.At{})
	b.Block.Validators[0].Signature = nil // 7 of 10 are left
	require.NoError(t, verify.Receipt(b, w.chain.BlockHash()))
}
