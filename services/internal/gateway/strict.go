package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

const (
	idempotencyHeader = "Idempotency-Key"
	requestIDField    = "request_id"
)

// strict holds a routed request to its contract before the generated handler, which is lenient,
// sees it.
func (g *Gateway) strict(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		pattern, _ := runtime.HTTPPattern(r.Context())
		route, ok := g.routes[r.Method+" "+pattern.String()]
		if !ok {
			g.refuse(w, r, "", apierr.Internal(errors.New("a route without an annotation: "+pattern.String())), 0)
			return
		}
		if err := g.prepare(w, r, route, params); err != nil {
			g.refuse(w, r, route.method, err, 0)
			return
		}
		if route.streams {
			next(w, r, params)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), g.options.Timeout)
		defer cancel()
		next(w, r.WithContext(ctx), params)
	}
}

func (g *Gateway) prepare(w http.ResponseWriter, r *http.Request, route *route, params map[string]string) *apierr.Error {
	violations := checkQuery(route, r.URL.RawQuery)
	if !route.hasBody {
		return asError(violations)
	}
	if err := g.admit(r, route); err != nil {
		return apierr.From(r.Context(), err)
	}
	content, fault := readBody(w, r, route.maxBody)
	if fault != nil {
		return fault
	}
	body := &body{message: route.input.New(), takesJSON: route.takesJSON}
	violations = append(violations, body.decode(content)...)
	violations = append(violations, body.checkPath(route, params)...)
	violations = append(violations, body.takeIdempotencyKey(r.Header.Values(idempotencyHeader))...)
	r.Body = &decodedBody{message: body.message.Interface()}
	return asError(violations)
}

func asError(violations []apierr.Violation) *apierr.Error {
	if len(violations) == 0 {
		return nil
	}
	return apierr.InvalidFields(violations...)
}

// admit asks the authorizer about a call whose body has not been read.
func (g *Gateway) admit(r *http.Request, route *route) error {
	if g.options.Authorizer == nil {
		return nil
	}
	keys := metadata.MD{}
	for name, values := range r.Header {
		if passed, ok := incomingHeader(name); ok {
			keys.Append(passed, values...)
		}
	}
	_, err := g.options.Authorizer.Authorize(metadata.NewIncomingContext(r.Context(), keys), route.method)
	return err
}

func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *apierr.Error) {
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return content, nil
	case errors.As(err, &tooLarge):
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_BODY_TOO_LARGE,
			"the request body is over its limit of %d bytes", limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED, "the request body came too slowly").WithCause(err)
	default:
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED,
			"the request body ended early").WithCause(err)
	}
}

// checkQuery refuses keys that the contract does not know and values that do not fit.
func checkQuery(route *route, rawQuery string) []apierr.Violation {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return []apierr.Violation{{Field: "query", Remedy: "is not a valid query string"}}
	}
	var violations []apierr.Violation
	for _, key := range sortedKeys(query) {
		if remedy := queryFault(route, key, query[key]); remedy != "" {
			violations = append(violations, apierr.Violation{Field: key, Remedy: remedy})
		}
	}
	return violations
}

func sortedKeys(query url.Values) []string {
	keys := make([]string, 0, len(query))
	for key := range query {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func queryFault(route *route, key string, values []string) string {
	if route.hasBody {
		return "is an unknown query key; this call takes its fields in the body"
	}
	fields := route.input.Descriptor().Fields()
	field := fields.ByName(protoreflect.Name(key))
	if field == nil || slices.Contains(route.pathFields, key) {
		return "is an unknown query key" + known(fields, route.pathFields)
	}
	if len(values) > 1 && !field.IsList() {
		return "may be given once"
	}
	message := route.input.New().Interface()
	if err := runtime.PopulateQueryParameters(message, url.Values{key: values}, utilities.NewDoubleArray(nil)); err != nil {
		return want(field)
	}
	return ""
}

// known lists the fields there are; without names in the text a typo costs a look into the manual.
func known(fields protoreflect.FieldDescriptors, except []string) string {
	var names []string
	for i := range fields.Len() {
		if name := string(fields.Get(i).Name()); !slices.Contains(except, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "; none is known here"
	}
	return "; known here: " + strings.Join(names, ", ")
}
