package aitbc

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// RulesInherit are the ledger's first rules (its parameter rules_version) by which a message of a
// transaction may leave out what the one of its kind before it says as well: see [Compact].
const RulesInherit = 3

// The fields that may be left out, bit n for field n.
const (
	// client, price, max_price, execution_limit, settle_by, expires
	jobInherits = 1<<1 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8
	// miner, model, model_digest, engine, operator
	receiptInherits = 1<<3 | 1<<4 | 1<<5 | 1<<12 | 1<<17
)

// inheriting is a kind of message that can leave fields out.
type inheriting interface {
	proto.Message
	GetInherits() uint32
}

// Compact gives the messages of one transaction so that none repeats what the one of its kind before
// it says. Those given are not changed, and share their fields' bytes with what is returned. What was
// signed stays: [Expander] gives back what was given.
func Compact(messages []*ledgerv1.Message) []*ledgerv1.Message {
	var job *ledgerv1.SubmitJob
	var receipt *ledgerv1.RecordReceipt
	compacted := make([]*ledgerv1.Message, len(messages))
	for i, m := range messages {
		compacted[i] = m
		switch v := m.GetMessage().(type) {
		case *ledgerv1.Message_SubmitJob:
			short := compact(job, v.SubmitJob, jobInherits)
			compacted[i] = &ledgerv1.Message{Message: &ledgerv1.Message_SubmitJob{SubmitJob: short}}
			job = v.SubmitJob
		case *ledgerv1.Message_RecordReceipt:
			short := compact(receipt, v.RecordReceipt, receiptInherits)
			compacted[i] = &ledgerv1.Message{Message: &ledgerv1.Message_RecordReceipt{RecordReceipt: short}}
			receipt = v.RecordReceipt
		}
	}
	return compacted
}

// compact gives m without the fields that it may inherit from the one before. A field that is not
// there, such as an engine that is not named, takes no bytes and is not inherited.
func compact[M inheriting](before, m M, may uint32) M {
	from := before.ProtoReflect()
	short := m.ProtoReflect().New()
	var inherits uint32
	m.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		bit := uint32(1) << field.Number()
		if may&bit != 0 && from.Has(field) && value.Equal(from.Get(field)) {
			inherits |= bit
		} else {
			short.Set(field, value)
		}
		return true
	})
	if inherits != 0 {
		short.Set(inheritsField(short), protoreflect.ValueOfUint32(inherits))
	}
	return short.Interface().(M)
}

// Expander gives the messages of one transaction what they left out, first to last. Its zero value is
// ready for the first.
type Expander struct {
	job     *ledgerv1.SubmitJob
	receipt *ledgerv1.RecordReceipt
}

// Expand fills in, in m itself, what it inherits; then nothing shows any more that it did. Errors:
// [ErrMalformed], for a message that inherits what cannot be inherited, what it says itself, or what
// the one of its kind before it does not say; or for a job or receipt with fields that are not known
// here. What follows cannot inherit from a message with an error.
func (x *Expander) Expand(m *ledgerv1.Message) (err error) {
	switch v := m.GetMessage().(type) {
	case *ledgerv1.Message_SubmitJob:
		x.job, err = expand(m, x.job, v.SubmitJob, jobInherits)
	case *ledgerv1.Message_RecordReceipt:
		x.receipt, err = expand(m, x.receipt, v.RecordReceipt, receiptInherits)
	}
	return err
}

// expand gives inner, which outer holds, filled in; nothing with an error.
func expand[M inheriting](outer *ledgerv1.Message, before, inner M, may uint32) (none M, err error) {
	to, from := inner.ProtoReflect(), before.ProtoReflect()
	if len(outer.ProtoReflect().GetUnknown())+len(to.GetUnknown()) > 0 {
		return none, fmt.Errorf("expand message: %w: it has fields that are not known here", ErrMalformed)
	}
	inherits := inner.GetInherits()
	if inherits&^may != 0 {
		return none, fmt.Errorf("expand message: %w: inherits is %#x, at most %#x", ErrMalformed, inherits, may)
	}
	for n := protoreflect.FieldNumber(1); inherits>>n != 0; n++ {
		if inherits>>n&1 == 0 {
			continue
		}
		field := to.Descriptor().Fields().ByNumber(n)
		if to.Has(field) || !from.Has(field) {
			return none, fmt.Errorf("expand message: %w: it inherits %s, which it says itself or nothing before it says", ErrMalformed, field.Name())
		}
		to.Set(field, from.Get(field))
	}
	if field := inheritsField(to); to.Has(field) {
		to.Clear(field)
	}
	return inner, nil
}

func inheritsField(m protoreflect.Message) protoreflect.FieldDescriptor {
	return m.Descriptor().Fields().ByName("inherits")
}
