package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/aitbc/aitbc/services/internal/apierr"
)

// body is a request body on its way from JSON to a message.
type body struct {
	message protoreflect.Message
	// takesJSON says that the message has texts of JSON in it.
	takesJSON bool
	// given are the top-level fields that the JSON had.
	given []string
}

// decode fills the message, or names every field at fault.
func (b *body) decode(content []byte) []apierr.Violation {
	if len(bytes.TrimSpace(content)) == 0 {
		return nil
	}
	if fault := syntaxFault(content); fault != "" {
		return []apierr.Violation{{Field: "body", Remedy: fault}}
	}
	if b.takesJSON {
		content = quoteJSON(b.message.Descriptor(), content)
	}
	members, err := membersOf(content)
	if err != nil {
		return []apierr.Violation{{Field: "body", Remedy: "must be a JSON object"}}
	}
	for _, m := range members {
		b.given = append(b.given, m.name)
	}
	if violations := checkObject(b.message.Type(), "", members); len(violations) > 0 {
		return violations
	}
	if err := protojson.Unmarshal(content, b.message.Interface()); err != nil {
		// Unreachable as far as known: every field has passed on its own.
		return []apierr.Violation{{Field: "body", Remedy: "does not fit the contract"}}
	}
	return nil
}

// syntaxFault says where a text stops being JSON; empty: nowhere.
func syntaxFault(content []byte) string {
	var raw json.RawMessage
	err := json.Unmarshal(content, &raw)
	var syntax *json.SyntaxError
	if err == nil || !errors.As(err, &syntax) {
		return ""
	}
	before := content[:min(int(syntax.Offset), len(content))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return fmt.Sprintf("is not valid JSON at line %d, column %d: %s", line, max(column, 1), syntax.Error())
}

type member struct {
	name  string
	value json.RawMessage
}

// membersOf lists an object's members in their order, repeated ones too.
func membersOf(content []byte) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	var members []member
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: fmt.Sprint(name)}
		if err := decoder.Decode(&m.value); err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

func checkObject(kind protoreflect.MessageType, prefix string, members []member) []apierr.Violation {
	var violations []apierr.Violation
	refuse := func(field, remedy string) {
		violations = append(violations, apierr.Violation{Field: field, Remedy: remedy})
	}
	seen := make(map[string]bool)
	for _, m := range members {
		path := prefix + m.name
		// Only the contract's own names: protojson would take camelCase too, and then two spellings.
		field := kind.Descriptor().Fields().ByName(protoreflect.Name(m.name))
		switch {
		case field == nil:
			refuse(path, "is an unknown field"+known(kind.Descriptor().Fields(), nil))
		case seen[m.name]:
			refuse(path, "was given twice")
		case isNull(m.value):
			// protojson's way of saying "not given".
		default:
			violations = append(violations, checkValue(kind, field, path, m.value)...)
		}
		seen[m.name] = true
	}
	return violations
}

func checkValue(parent protoreflect.MessageType, field protoreflect.FieldDescriptor, path string, value json.RawMessage) []apierr.Violation {
	if field.IsList() {
		return checkList(parent, field, path, value)
	}
	if isPlainMessage(field) {
		return checkMessage(parent, field, path, value)
	}
	return checkLeaf(parent, field, path, value)
}

func checkList(parent protoreflect.MessageType, field protoreflect.FieldDescriptor, path string, value json.RawMessage) []apierr.Violation {
	var items []json.RawMessage
	if err := json.Unmarshal(value, &items); err != nil {
		return []apierr.Violation{{Field: path, Remedy: "must be a list"}}
	}
	var violations []apierr.Violation
	for i, item := range items {
		itemPath := fmt.Sprintf("%s[%d]", path, i)
		if isPlainMessage(field) {
			violations = append(violations, checkMessage(parent, field, itemPath, item)...)
			continue
		}
		wrapped := slices.Concat([]byte("["), item, []byte("]"))
		violations = append(violations, checkLeaf(parent, field, itemPath, wrapped)...)
	}
	return violations
}

func checkMessage(parent protoreflect.MessageType, field protoreflect.FieldDescriptor, path string, value json.RawMessage) []apierr.Violation {
	members, err := membersOf(value)
	if err != nil {
		return []apierr.Violation{{Field: path, Remedy: "must be an object"}}
	}
	holder := parent.New()
	kind := holder.NewField(field)
	if field.IsList() {
		kind = kind.List().NewElement()
	}
	return checkObject(kind.Message().Type(), path+".", members)
}

// checkLeaf tries one value alone: so protojson judges it, and the fault has the field's name.
func checkLeaf(parent protoreflect.MessageType, field protoreflect.FieldDescriptor, path string, value json.RawMessage) []apierr.Violation {
	alone := slices.Concat([]byte(`{"`), []byte(field.TextName()), []byte(`":`), value, []byte("}"))
	if err := protojson.Unmarshal(alone, parent.New().Interface()); err != nil {
		return []apierr.Violation{{Field: path, Remedy: want(field)}}
	}
	return nil
}

func isNull(value json.RawMessage) bool { return string(value) == "null" }

// isPlainMessage is false for the well-known types, whose JSON is not an object of their fields.
func isPlainMessage(field protoreflect.FieldDescriptor) bool {
	return field.Message() != nil && !field.IsMap() && field.Message().FullName().Parent() != "google.protobuf"
}

// checkPath holds a field that the path gives and the body repeats to the path's value: the
// generated handler would overwrite it silently.
func (b *body) checkPath(route *route, params map[string]string) []apierr.Violation {
	var violations []apierr.Violation
	for _, name := range route.pathFields {
		field := b.message.Descriptor().Fields().ByName(protoreflect.Name(name))
		if field == nil || !slices.Contains(b.given, name) || !b.message.Has(field) {
			continue
		}
		if b.message.Get(field).String() != params[name] {
			violations = append(violations, apierr.Violation{Field: name, Remedy: "must equal the path's, or be left out"})
		}
	}
	return violations
}

// takeIdempotencyKey moves the Idempotency-Key header into request_id, where the method has that.
func (b *body) takeIdempotencyKey(values []string) []apierr.Violation {
	field := b.message.Descriptor().Fields().ByName(requestIDField)
	if field == nil || len(values) == 0 {
		return nil
	}
	given := b.message.Get(field).String()
	for _, value := range values {
		if given != "" && given != value {
			return []apierr.Violation{{Field: requestIDField, Remedy: "and the header " + idempotencyHeader + " must be equal, or one be left out"}}
		}
		given = value
	}
	b.message.Set(field, protoreflect.ValueOfString(given))
	return nil
}
