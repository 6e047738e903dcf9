package rpc

import (
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// remedy says what to send instead, where the rule tells; else it gives the rule's own text. The
// refused value is named only by its size: it may be a prompt.
func remedy(v *protovalidate.Violation) string {
	rule := v.Proto.GetRuleId()
	kind, name, _ := strings.Cut(rule, ".")
	switch {
	case rule == "required":
		return "is required"
	case name == "min_bytes" && v.RuleValue.IsValid() && v.RuleValue.Uint() == 1:
		return "must not be empty"
	case name == "min_bytes" || name == "max_bytes":
		return sizeRemedy(v, name)
	case name == "in":
		return "use one of: " + list(v.RuleValue)
	case name == "pattern":
		return "must match " + v.RuleValue.String()
	case name == "finite":
		return "must be a finite number"
	case name == "max_items":
		return fmt.Sprintf("give at most %d items", v.RuleValue.Uint())
	case kind == "bytes" && name == "len":
		return fmt.Sprintf("must be %d bytes long, got %d", v.RuleValue.Uint(), len(v.FieldValue.Bytes()))
	}
	if text, ok := boundRemedy(v, name); ok {
		return text
	}
	return v.Proto.GetMessage()
}

func sizeRemedy(v *protovalidate.Violation, name string) string {
	bound := "at least"
	if name == "max_bytes" {
		bound = "at most"
	}
	return fmt.Sprintf("must be %s %d bytes long, got %d", bound, v.RuleValue.Uint(), len(v.FieldValue.String()))
}

// boundRemedy names the bounds of a number or duration; rules with both have ids such as "gte_lte".
func boundRemedy(v *protovalidate.Violation, name string) (string, bool) {
	rules := v.RuleDescriptor
	if rules == nil || !v.RuleValue.IsValid() {
		return "", false
	}
	words := map[string]string{"gte": "at least", "gt": "more than", "lte": "at most", "lt": "less than"}
	word, ok := words[string(rules.Name())]
	if !ok {
		return "", false
	}
	if _, _, both := strings.Cut(name, "_"); both {
		// The rule's own text gives both bounds.
		return strings.Replace(v.Proto.GetMessage(), "value must be", "must be", 1), true
	}
	return "must be " + word + " " + scalar(v.RuleValue), true
}

func list(value protoreflect.Value) string {
	items, ok := value.Interface().(protoreflect.List)
	if !ok {
		return value.String()
	}
	var texts []string
	for i := range items.Len() {
		// The empty word stands for "any" and needs no mention.
		if text := items.Get(i).String(); text != "" {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, ", ")
}

func scalar(value protoreflect.Value) string {
	if message, ok := value.Interface().(protoreflect.Message); ok {
		if d, ok := message.Interface().(*durationpb.Duration); ok {
			return d.AsDuration().String()
		}
	}
	return value.String()
}
