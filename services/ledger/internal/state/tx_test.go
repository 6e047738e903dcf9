package state_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/ledgertest"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

const (
	ok                    = ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED
	isMalformed           = ledgerv1.ResultCode_RESULT_CODE_MALFORMED
	badSignature          = ledgerv1.ResultCode_RESULT_CODE_BAD_SIGNATURE
	wrongChain            = ledgerv1.ResultCode_RESULT_CODE_WRONG_CHAIN
	expired               = ledgerv1.ResultCode_RESULT_CODE_EXPIRED
	badSequence           = ledgerv1.ResultCode_RESULT_CODE_BAD_SEQUENCE
	insufficientFunds     = ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_FUNDS
	insufficientAllowance = ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_ALLOWANCE
	unknownAccount        = ledgerv1.ResultCode_RESULT_CODE_UNKNOWN_ACCOUNT
	notOperator           = ledgerv1.ResultCode_RESULT_CODE_NOT_OPERATOR
	notMiner              = ledgerv1.ResultCode_RESULT_CODE_NOT_MINER
	duplicateJob          = ledgerv1.ResultCode_RESULT_CODE_DUPLICATE_JOB
	notOpen               = ledgerv1.ResultCode_RESULT_CODE_NOT_OPEN
	badLease              = ledgerv1.ResultCode_RESULT_CODE_BAD_LEASE
	badStatement          = ledgerv1.ResultCode_RESULT_CODE_BAD_STATEMENT
	badAcceptance         = ledgerv1.ResultCode_RESULT_CODE_BAD_ACCEPTANCE
	badMeter              = ledgerv1.ResultCode_RESULT_CODE_BAD_METER
	outOfRange            = ledgerv1.ResultCode_RESULT_CODE_OUT_OF_RANGE
	tooLate               = ledgerv1.ResultCode_RESULT_CODE_TOO_LATE
	alreadyRefunding      = ledgerv1.ResultCode_RESULT_CODE_ALREADY_REFUNDING
	notAuthority          = ledgerv1.ResultCode_RESULT_CODE_NOT_AUTHORITY
	dust                  = ledgerv1.ResultCode_RESULT_CODE_DUST
	insufficientStake     = ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_STAKE
	tooMany               = ledgerv1.ResultCode_RESULT_CODE_TOO_MANY
	badRotation           = ledgerv1.ResultCode_RESULT_CODE_BAD_ROTATION
	badEvidence           = ledgerv1.ResultCode_RESULT_CODE_BAD_EVIDENCE
	isSlashed             = ledgerv1.ResultCode_RESULT_CODE_SLASHED
	badParams             = ledgerv1.ResultCode_RESULT_CODE_BAD_PARAMS
	badValidators         = ledgerv1.ResultCode_RESULT_CODE_BAD_VALIDATORS
	duplicateTx           = ledgerv1.ResultCode_RESULT_CODE_DUPLICATE_TX
)

func transfer(to string, amount int64) *ledgerv1.Transfer {
	id := ledgertest.ID(to)
	return &ledgerv1.Transfer{To: id[:], AmountUaitbc: amount}
}

// resign makes a transaction of a changed body, signed by "client".
func resign(t *testing.T, body *ledgerv1.TxBody) []byte {
	t.Helper()
	raw, _, err := aitbc.SignTx(ledgertest.Key("client"), body)
	require.NoError(t, err)
	return raw
}

// txCase is a good transaction with one thing changed: in its body before it is signed, in the
// outer message after that, or in the bytes.
type txCase struct {
	name  string
	body  func(*ledgerv1.TxBody)
	outer func(*ledgerv1.Tx)
	raw   func([]byte) []byte
	want  ledgerv1.ResultCode
}

func txCases() []txCase {
	return []txCase{
		{name: "a good one that expires now", want: ok},
		{name: "no bytes", raw: func([]byte) []byte { return nil }, want: isMalformed},
		{name: "not protobuf", raw: func([]byte) []byte { return []byte{0xff, 0xff} }, want: isMalformed},
		{name: "too long", raw: func([]byte) []byte { return make([]byte, state.MaxTxBytes+1) }, want: isMalformed},
		{name: "a field that is not known, outside", raw: func(b []byte) []byte {
			return protowire.AppendVarint(protowire.AppendTag(b, 9, protowire.VarintType), 1)
		}, want: isMalformed},
		{name: "the same transaction encoded otherwise", raw: func(b []byte) []byte {
			// An empty signature first is overridden by the real one, which comes last.
			return append(protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), nil), b...)
		}, want: isMalformed},
		{name: "another version", body: func(b *ledgerv1.TxBody) { b.Version = 2 }, want: isMalformed},
		{name: "a short signer", body: func(b *ledgerv1.TxBody) { b.Signer = b.Signer[1:] }, want: isMalformed},
		{name: "no messages", body: func(b *ledgerv1.TxBody) { b.Messages = nil }, want: isMalformed},
		{name: "too many messages", body: func(b *ledgerv1.TxBody) {
			for range state.MaxMessages {
				b.Messages = append(b.Messages, b.Messages[0])
			}
		}, want: isMalformed},
		{name: "a field that is not known, in the body", body: func(b *ledgerv1.TxBody) {
			b.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
		}, want: isMalformed},
		{name: "a short key", outer: func(x *ledgerv1.Tx) { x.PublicKey = x.PublicKey[1:] }, want: isMalformed},
		{name: "another chain", body: func(b *ledgerv1.TxBody) { b.ChainId = "other" }, want: wrongChain},
		{name: "expired", body: func(b *ledgerv1.TxBody) { b.ExpiresUs-- }, want: expired},
		{name: "expires too far ahead", body: func(b *ledgerv1.TxBody) { b.ExpiresUs += (10 * time.Minute).Microseconds() + 1 }, want: expired},
		{name: "expires at the end of time", body: func(b *ledgerv1.TxBody) { b.ExpiresUs = 1<<63 - 1 }, want: expired},
		{name: "an account that does not exist", body: func(b *ledgerv1.TxBody) { id := ledgertest.ID("nobody"); b.Signer = id[:] }, want: unknownAccount},
		{name: "somebody else's account", body: func(b *ledgerv1.TxBody) { id := ledgertest.ID("operator"); b.Signer = id[:] }, want: badSignature},
		{name: "somebody else's account whose key is not known", body: func(b *ledgerv1.TxBody) { id := ledgertest.ID("newcomer"); b.Signer = id[:] }, want: badSignature},
		{name: "sequence used", body: func(b *ledgerv1.TxBody) { b.Sequence = 0 }, want: badSequence},
		{name: "sequence ahead", body: func(b *ledgerv1.TxBody) { b.Sequence = 2 }, want: badSequence},
		{name: "a wrong signature", outer: func(x *ledgerv1.Tx) { x.Signature[0]++ }, want: badSignature},
		{name: "no signature", outer: func(x *ledgerv1.Tx) { x.Signature = nil }, want: isMalformed},
		{name: "a body changed after signing", outer: func(x *ledgerv1.Tx) { x.Body[len(x.Body)-1]++ }, want: badSignature},
	}
}

// goodBody transfers something and expires now.
func goodBody(c *ledgertest.Chain) *ledgerv1.TxBody {
	id := ledgertest.ID("client")
	return &ledgerv1.TxBody{
		Version: 1, ChainId: ledgertest.ChainID, Signer: id[:], ExpiresUs: c.Now().UnixMicro(), Sequence: 1,
		Messages: []*ledgerv1.Message{ledgertest.Message(transfer("miner", 1))},
	}
}

func TestTransactionChecks(t *testing.T) {
	t.Parallel()
	for _, test := range txCases() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := ledgertest.NewChain(t, ledgertest.Genesis())
			body := goodBody(c)
			if test.body != nil {
				test.body(body)
			}
			raw := resign(t, body)
			if test.outer != nil {
				tx := &ledgerv1.Tx{}
				require.NoError(t, proto.Unmarshal(raw, tx))
				test.outer(tx)
				var err error
				raw, err = proto.MarshalOptions{Deterministic: true}.Marshal(tx)
				require.NoError(t, err)
			}
			if test.raw != nil {
				raw = test.raw(raw)
			}
			before := c.State.AppHash()
			result := c.Block(raw)[0]
			require.Equal(t, test.want, result.Code, result.Detail)
			require.Equal(t, test.want == ok, result.Applied())
			require.Equal(t, test.want == ok, before != c.State.AppHash(), "a refused transaction leaves no trace")
		})
	}
}

func TestMessagesFailAlone(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	result := c.Send("client", transfer("miner", 1), transfer("miner", 1<<60), transfer("miner", 2))
	require.Equal(t, ok, result.Code)
	require.Equal(t, []ledgerv1.ResultCode{ok, insufficientFunds, ok},
		[]ledgerv1.ResultCode{result.Messages[0].Code, result.Messages[1].Code, result.Messages[2].Code})
	require.Equal(t, aitbc.Amount(3), c.Balance("miner"))
	require.Equal(t, "transfer", result.Messages[0].Kind)
}

func TestAMessageWithFieldsThatAreNotKnownIsRefused(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	odd := transfer("miner", 1)
	odd.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
	require.Equal(t, isMalformed, c.One("client", odd))
	tx := ledgertest.Tx{Signer: "client", Expires: c.Now(), Messages: []*ledgerv1.Message{{}}}
	result := c.Block(tx.Sign(t))[0]
	require.Equal(t, isMalformed, result.Messages[0].Code)
}

func TestASequenceIsUsedUpEvenWhenNothingWasApplied(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	raw := c.Sign("client", transfer("miner", 1<<60))
	require.Equal(t, insufficientFunds, c.Block(raw)[0].Messages[0].Code)
	require.Equal(t, badSequence, c.Block(raw)[0].Code)
}

func TestAJobMessageNeedsNoSequence(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	for n := range 3 {
		tx := ledgertest.Tx{Signer: "operator", Expires: c.Now(), Messages: []*ledgerv1.Message{
			ledgertest.Message(ledgertest.Submit(ledgertest.Order(ledgertest.Job(n), c.Now()))),
		}}
		require.True(t, c.Block(tx.Sign(t))[0].Applied())
	}
}

func TestAKeyIsRememberedWhenItFirstSigns(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	before, _ := c.State.Account(ledgertest.ID("newcomer"))
	require.Empty(t, before.PublicKey)
	require.Equal(t, ok, c.One("newcomer", transfer("miner", 1)))
	after, _ := c.State.Account(ledgertest.ID("newcomer"))
	require.Equal(t, ledgertest.Public("newcomer"), after.PublicKey)
}

func TestCheckKeepsOnlyWhatApplies(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	block := c.State.Begin(state.Context{Height: 1, Time: c.Time}, aitbc.Verify)
	refused := block.Check(c.Sign("client", transfer("miner", 1<<60)))
	code, detail := refused.Verdict()
	require.Equal(t, insufficientFunds, code)
	require.NotEmpty(t, detail)
	good := c.Sign("client", transfer("miner", 1))
	code, _ = block.Check(good).Verdict()
	require.Equal(t, ok, code, "the refused one did not use the sequence up")
	code, _ = block.Check(good).Verdict()
	require.Equal(t, badSequence, code)
}

// A check that was undone has changed nothing: what follows, and the state's hash, are the same without it.
func TestACheckCanBeUndone(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	paid, escrow := c.Escrow(1), ledgertest.Order(ledgertest.Job(2), c.Now())
	forged := receipt(paid, 7)
	forged.StatementSignature[0]++
	believing := func(ed25519.PublicKey, []byte, []byte) bool { return true }
	ctx := state.Context{Height: c.State.Height() + 1, Time: c.Time, Journal: true}
	checked, not := c.State.Begin(ctx, aitbc.Verify), c.State.Begin(ctx, aitbc.Verify)
	raw := c.Sign("operator", ledgertest.Submit(escrow), forged)
	result, undo := checked.CheckBy(believing, raw)
	require.Equal(t, ok, result.Messages[1].Code, "it was believed")
	undo()
	for _, block := range []*state.Block{checked, not} {
		result := block.Check(raw)
		require.Equal(t, ok, result.Messages[0].Code)
		require.Equal(t, badStatement, result.Messages[1].Code)
		require.True(t, block.Check(c.Sign("operator", receipt(paid, 7))).Applied())
	}
	want, err := not.End()
	require.NoError(t, err)
	got, err := checked.End()
	require.NoError(t, err)
	require.Equal(t, want.Next.AppHash(), got.Next.AppHash())
	require.Equal(t, want.Writes, got.Writes)
	require.Equal(t, want.Events, got.Events)
	require.Equal(t, want.Movements, got.Movements)
	require.Equal(t, want.LogNodes, got.LogNodes)
	require.Equal(t, uint64(1), got.Next.Receipts())
}

// A repeat needs nobody's consent: the bytes are public once they are in a block.
func TestARefusedMessageIsNotAppliedWhenItsBytesComeAgain(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	good := ledgertest.Order(ledgertest.Job(1), c.Now())
	poor := ledgertest.Order(ledgertest.Job(2), c.Now())
	poor.MaxPrice = c.Balance("client") // no longer there once the first is escrowed
	tx := ledgertest.Tx{Signer: "operator", Expires: c.Now().Add(time.Minute), Messages: []*ledgerv1.Message{
		ledgertest.Message(ledgertest.Submit(good)), ledgertest.Message(ledgertest.Submit(poor)),
	}}
	raw := tx.Sign(t)
	results := c.Block(raw, raw)
	require.Equal(t, ok, results[0].Messages[0].Code)
	require.Equal(t, insufficientAllowance, results[0].Messages[1].Code)
	require.Equal(t, duplicateTx, results[1].Code)
	require.Equal(t, ok, c.One("operator", refund(good))) // the money comes back
	c.Wait(3 * time.Second)
	again := c.Block(raw)[0]
	require.Equal(t, duplicateTx, again.Code)
	require.Empty(t, again.Messages)
	_, open := c.State.Escrow(ledgertest.ID("operator"), ledgertest.Job(2))
	require.False(t, open)
}

func TestATransactionIsAdmittedOnceEvenWhenAllOfItIsRefused(t *testing.T) {
	t.Parallel()
	c := ledgertest.NewChain(t, ledgertest.Genesis())
	early := ledgertest.Order(ledgertest.Job(1), c.Now())
	tx := ledgertest.Tx{
		Signer: "operator", Expires: c.Now().Add(90 * time.Second),
		Messages: []*ledgerv1.Message{ledgertest.Message(refund(early))},
	}
	raw := tx.Sign(t)
	check := c.State.Begin(state.Context{Height: 1, Time: c.Time}, aitbc.Verify)
	for range 2 {
		code, _ := check.Check(raw).Verdict()
		require.Equal(t, notOpen, code, "a check that takes nothing remembers nothing")
	}
	require.Equal(t, notOpen, c.Block(raw)[0].Messages[0].Code)
	require.Equal(t, ok, c.One("operator", ledgertest.Submit(early)))
	for c.Now().Before(tx.Expires) {
		require.Equal(t, duplicateTx, c.Block(raw)[0].Code)
		c.Time = c.Time.Add(min(9*time.Second, tx.Expires.Sub(c.Now())))
	}
	require.Equal(t, duplicateTx, c.Block(raw)[0].Code)
	require.Equal(t, expired, c.Block(raw)[0].Code)
}
