package gateway

import "google.golang.org/protobuf/reflect/protoreflect"

// want says what a field takes, for people who sent something else.
func want(field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return "must be true or false"
	case protoreflect.StringKind:
		return "must be text in UTF-8"
	case protoreflect.BytesKind:
		return "must be base64 text"
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return "must be a number"
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind,
		protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return "must be a whole number of 32 bits"
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind,
		protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return "must be a whole number of 64 bits"
	case protoreflect.EnumKind:
		return "must be one of the enum's names"
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return wantMessage(field.Message().FullName())
	default:
		return "has the wrong type"
	}
}

func wantMessage(name protoreflect.FullName) string {
	switch name {
	case "google.protobuf.Duration":
		return `must be seconds as text, such as "60s"`
	case "google.protobuf.Timestamp":
		return `must be an RFC 3339 time, such as "2026-01-31T12:00:00Z"`
	default:
		return "must be an object"
	}
}
