package aitbc_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

func submitJob(m *ledgerv1.SubmitJob) *ledgerv1.Message {
	return &ledgerv1.Message{Message: &ledgerv1.Message_SubmitJob{SubmitJob: m}}
}

func recordReceipt(m *ledgerv1.RecordReceipt) *ledgerv1.Message {
	return &ledgerv1.Message{Message: &ledgerv1.Message_RecordReceipt{RecordReceipt: m}}
}

// anyMessage has few values for each field, so that neighbours often agree; none is one of them.
func anyMessage(t *rapid.T) *ledgerv1.Message {
	value := func(name string) []byte {
		return rapid.SampledFrom([][]byte{nil, {1}, {2}}).Draw(t, name)
	}
	number := func(name string) int64 { return rapid.Int64Range(0, 2).Draw(t, name) }
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return &ledgerv1.Message{Message: &ledgerv1.Message_RefundJob{RefundJob: &ledgerv1.RefundJob{JobId: value("job")}}}
	case 1:
		return submitJob(&ledgerv1.SubmitJob{
			Client: value("client"), JobId: value("job"), PayloadCommitment: value("payload"),
			PriceUaitbc: number("price"), MaxPriceUaitbc: number("max price"), ExecutionLimitUs: number("limit"),
			SettleByUs: number("settle by"), ExpiresUs: number("expires"), ClientSignature: value("signature"), ClientPublicKey: value("key"),
		})
	default:
		r := &ledgerv1.RecordReceipt{
			JobId: value("job"), Attempt: uint32(number("attempt")), Miner: value("miner"), Model: string(value("model")), ModelDigest: value("digest"),
			LeaseIssuedUs: number("issued"), LeaseSignature: value("lease"), ResultCommitment: value("result"), ComputeUs: number("compute"),
			Engine: string(value("engine")), StatementSignature: value("statement"), MeteredUs: number("metered"),
			AcceptanceSignature: value("acceptance"), Operator: value("operator"),
		}
		if number("running") > 0 {
			r.Running = proto.Bool(number("running") > 1)
		}
		return recordReceipt(r)
	}
}

func TestWhatWasLeftOutComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		given := &ledgerv1.TxBody{Messages: rapid.SliceOfN(rapid.Custom(anyMessage), 1, 8).Draw(t, "messages")}
		before := proto.CloneOf(given)
		short := &ledgerv1.TxBody{Messages: aitbc.Compact(given.GetMessages())}
		require.True(t, proto.Equal(before, given), "what was given has changed")
		require.LessOrEqual(t, proto.Size(short), proto.Size(given)+4*len(given.GetMessages()))
		raw, err := proto.Marshal(short)
		require.NoError(t, err)
		read := &ledgerv1.TxBody{}
		require.NoError(t, proto.Unmarshal(raw, read))
		var x aitbc.Expander
		for _, m := range read.GetMessages() {
			require.NoError(t, x.Expand(m))
		}
		require.True(t, proto.Equal(given, read))
	})
}

func TestARepetitionIsLeftOut(t *testing.T) {
	t.Parallel()
	miner, other, digest := make([]byte, 20), []byte("another account's id"), make([]byte, 32)
	receipt := func(job byte, miner []byte, engine string) *ledgerv1.Message {
		return recordReceipt(&ledgerv1.RecordReceipt{JobId: []byte{job}, Miner: miner, Model: "m", ModelDigest: digest, Engine: engine})
	}
	short := aitbc.Compact([]*ledgerv1.Message{receipt(1, miner, "e"), receipt(2, miner, "e"), receipt(3, other, ""), receipt(4, other, "e")})
	require.Nil(t, short[0].GetRecordReceipt().Inherits) //nolint:protogetter // nil: not set
	for i, want := range []*ledgerv1.RecordReceipt{
		1: {JobId: []byte{2}, Inherits: proto.Uint32(1<<3 | 1<<4 | 1<<5 | 1<<12)},
		2: {JobId: []byte{3}, Inherits: proto.Uint32(1<<4 | 1<<5), Miner: other},
		3: {JobId: []byte{4}, Inherits: proto.Uint32(1<<3 | 1<<4 | 1<<5), Engine: "e"},
	} {
		if want != nil {
			require.True(t, proto.Equal(want, short[i].GetRecordReceipt()), "%d: %v", i, short[i])
		}
	}
}

func TestWhatCannotBeInherited(t *testing.T) {
	t.Parallel()
	const minerField, jobField = 1 << 3, 1 << 1
	first := recordReceipt(&ledgerv1.RecordReceipt{JobId: []byte{1}, Miner: []byte{1}})
	unknown := recordReceipt(&ledgerv1.RecordReceipt{Miner: []byte{1}})
	unknown.GetRecordReceipt().ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
	outside := recordReceipt(&ledgerv1.RecordReceipt{Miner: []byte{1}})
	outside.ProtoReflect().SetUnknown(unknown.GetRecordReceipt().ProtoReflect().GetUnknown())
	inheriting := recordReceipt(&ledgerv1.RecordReceipt{Inherits: proto.Uint32(minerField)})
	for name, messages := range map[string][]*ledgerv1.Message{
		"by the first":                     {inheriting},
		"from another kind":                {submitJob(&ledgerv1.SubmitJob{Client: []byte{1}}), inheriting},
		"a field that must be said":        {first, recordReceipt(&ledgerv1.RecordReceipt{Inherits: proto.Uint32(jobField)})},
		"a field that there is not":        {first, recordReceipt(&ledgerv1.RecordReceipt{Inherits: proto.Uint32(1 << 31)})},
		"a field that is said too":         {first, recordReceipt(&ledgerv1.RecordReceipt{Miner: []byte{1}, Inherits: proto.Uint32(minerField)})},
		"a field that was not said before": {first, recordReceipt(&ledgerv1.RecordReceipt{Inherits: proto.Uint32(1 << 12)})},
		"from a message that is not known": {unknown, inheriting},
		"from one not known outside":       {outside, inheriting},
	} {
		var x aitbc.Expander
		var errs []error
		for _, m := range append(messages, inheriting) {
			errs = append(errs, x.Expand(proto.CloneOf(m)))
		}
		require.ErrorIs(t, errs[len(messages)-1], aitbc.ErrMalformed, name)
		require.ErrorIs(t, errs[len(messages)], aitbc.ErrMalformed, "%s: and not from that one either", name)
	}
}

func TestAFieldThatSaysNothingIsInheritedByNobody(t *testing.T) {
	t.Parallel()
	var x aitbc.Expander
	m := recordReceipt(&ledgerv1.RecordReceipt{JobId: []byte{1}, Inherits: proto.Uint32(0)})
	require.NoError(t, x.Expand(m))
	require.True(t, proto.Equal(recordReceipt(&ledgerv1.RecordReceipt{JobId: []byte{1}}), m))
}
