package gateway

import (
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// quoting is how much longer a text can be in JSON: a byte may be written as \u0001.
	quoting = 6
	// maxRuneBytes is how long a character is in UTF-8, at most.
	maxRuneBytes = 4
	// spare is the room for names, numbers and spaces, and for fields that have no limit of length.
	spare = 64 << 10
	// maxNesting bounds the messages within messages that are looked into.
	maxNesting = 4
)

// bodyLimit gives how long a body must be allowed to be, so that whatever fits the contract fits.
func bodyLimit(input protoreflect.MessageDescriptor) int64 {
	return max(DefaultMaxBodyBytes, quoting*textBytes(input, maxNesting)+spare)
}

// textBytes adds up the longest texts that the contract's rules allow in a message.
func textBytes(message protoreflect.MessageDescriptor, nesting int) int64 {
	var sum int64
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
		count := int64(1)
		if field.IsList() {
			count, rules = int64(rules.GetRepeated().GetMaxItems()), rules.GetRepeated().GetItems()
		}
		switch {
		case field.Message() != nil && field.IsList():
			// As long as the rules allow it would be huge; who takes the list bounds the whole of it.
		case field.Message() != nil && nesting > 0:
			sum += textBytes(field.Message(), nesting-1)
		case field.Message() == nil:
			sum += count * longest(rules)
		}
	}
	return sum
}

// longest gives the length of a field's longest text in bytes; 0: the rules do not say, or it is none.
func longest(rules *validate.FieldRules) int64 {
	text, raw := rules.GetString(), rules.GetBytes()
	characters := max(text.GetMaxLen(), text.GetLen())
	return int64(max(text.GetMaxBytes(), text.GetLenBytes(), maxRuneBytes*characters, raw.GetMaxLen(), raw.GetLen()))
}
