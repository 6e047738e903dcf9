package aitbc

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// httpRule is a method's google.api.http rule, as far as the contract uses such rules.
type httpRule struct {
	verb         string
	template     string
	hasBody      bool
	responseBody protoreflect.Name
}

// ruleOf finds the rule of a method such as "/aitbc.coordinator.v1.JobService/GetJob".
func ruleOf(method string) (httpRule, error) {
	name := protoreflect.FullName(strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", "."))
	descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return httpRule{}, fmt.Errorf("method %s: %w", method, err)
	}
	rule, ok := proto.GetExtension(descriptor.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return httpRule{}, fmt.Errorf("method %s has no REST path", method)
	}
	r := httpRule{hasBody: rule.GetBody() != "", responseBody: protoreflect.Name(rule.GetResponseBody())}
	switch pattern := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		r.verb, r.template = http.MethodGet, pattern.Get
	case *annotations.HttpRule_Post:
		r.verb, r.template = http.MethodPost, pattern.Post
	case *annotations.HttpRule_Patch:
		r.verb, r.template = http.MethodPatch, pattern.Patch
	case *annotations.HttpRule_Delete:
		r.verb, r.template = http.MethodDelete, pattern.Delete
	default:
		return httpRule{}, fmt.Errorf("method %s: REST rule %v is of no known kind", method, rule)
	}
	return r, nil
}

// path fills the request's fields into the template; without a body the others become the query.
func (r httpRule) path(in proto.Message) (string, error) {
	message := in.ProtoReflect()
	fields := message.Descriptor().Fields()
	used := map[protoreflect.Name]bool{}
	var out strings.Builder
	rest := r.template
	for {
		before, after, found := strings.Cut(rest, "{")
		out.WriteString(before)
		if !found {
			break
		}
		variable, tail, _ := strings.Cut(after, "}")
		name, pattern, _ := strings.Cut(variable, "=")
		field := fields.ByName(protoreflect.Name(name))
		if field == nil {
			return "", fmt.Errorf("path %s: no field %q", r.template, name)
		}
		value := url.PathEscape(message.Get(field).String())
		if pattern == "**" {
			value = strings.ReplaceAll(value, "%2F", "/")
		}
		if value == "" {
			return "", fmt.Errorf("%s: must not be empty", name)
		}
		out.WriteString(value)
		used[field.Name()] = true
		rest = tail
	}
	if query := r.query(message, used); query != "" {
		out.WriteString("?" + query)
	}
	return out.String(), nil
}

func (r httpRule) query(message protoreflect.Message, used map[protoreflect.Name]bool) string {
	query := url.Values{}
	if r.hasBody {
		return ""
	}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if !used[field.Name()] {
			query.Set(string(field.Name()), value.String())
		}
		return true
	})
	return query.Encode()
}

// answer is the part of the response message that the HTTP body holds.
func (r httpRule) answer(out proto.Message) proto.Message {
	if r.responseBody == "" {
		return out
	}
	message := out.ProtoReflect()
	return message.Mutable(message.Descriptor().Fields().ByName(r.responseBody)).Message().Interface()
}
