package gateway

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// takesJSON reports whether a message has, somewhere, a text that is JSON.
func takesJSON(message protoreflect.MessageDescriptor, nesting int) bool {
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		if isJSONText(field) || field.Message() != nil && nesting > 0 && takesJSON(field.Message(), nesting-1) {
			return true
		}
	}
	return false
}

func isJSONText(field protoreflect.FieldDescriptor) bool {
	marked, _ := proto.GetExtension(field.Options(), coordinatorv1.E_JsonText).(bool)
	return marked
}

// quoteJSON puts the objects that stand where the contract has a text of JSON into quotes, byte for
// byte: a JSON decoder would lose the order of their members. Whatever does not fit stays as it is.
func quoteJSON(message protoreflect.MessageDescriptor, content json.RawMessage) json.RawMessage {
	members, err := membersOf(content)
	if err != nil {
		return content
	}
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(quoted(m.name))
		out.WriteByte(':')
		out.Write(quoteValue(message.Fields().ByName(protoreflect.Name(m.name)), m.value))
	}
	out.WriteByte('}')
	return out.Bytes()
}

func quoteValue(field protoreflect.FieldDescriptor, value json.RawMessage) json.RawMessage {
	switch {
	case field == nil || field.IsMap():
		return value
	case isJSONText(field):
		if value[0] == '{' {
			return quoted(string(value))
		}
		return value
	case field.Message() == nil:
		return value
	case !field.IsList():
		return quoteJSON(field.Message(), value)
	}
	var items []json.RawMessage
	if json.Unmarshal(value, &items) != nil {
		return value
	}
	for i := range items {
		items[i] = quoteJSON(field.Message(), items[i])
	}
	list := append([]byte("["), bytes.Join(asBytes(items), []byte(","))...)
	return append(list, ']')
}

func asBytes(items []json.RawMessage) [][]byte {
	parts := make([][]byte, len(items))
	for i, item := range items {
		parts[i] = item
	}
	return parts
}

// quoted gives a text as JSON.
func quoted(text string) json.RawMessage {
	raw, err := json.Marshal(text)
	if err != nil {
		return json.RawMessage(`""`) // a text can always be written
	}
	return raw
}
