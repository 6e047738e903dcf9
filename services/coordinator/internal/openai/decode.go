package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

const (
	submitMethod      = coordinatorv1.JobService_SubmitJob_FullMethodName
	idempotencyHeader = "Idempotency-Key"
)

// read takes a request apart. Nobody without a key makes it hold a body.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, read func([]byte) (*question, error)) (*question, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_ROUTE_NOT_FOUND, "%s is not possible here; use POST", r.Method).With("allow", http.MethodPost)
	}
	if h.options.Authorizer != nil {
		sent, _ := metadata.FromOutgoingContext(outgoing(r))
		if _, err := h.options.Authorizer.Authorize(metadata.NewIncomingContext(r.Context(), sent), submitMethod); err != nil {
			return nil, err
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_BODY_TOO_LARGE, "the request body is over its limit of %d bytes", maxBodyBytes)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED, "the request body came too slowly").WithCause(err)
	case err != nil:
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED, "the request body ended early").WithCause(err)
	}
	q, err := read(body)
	if err != nil {
		return nil, err
	}
	if keys := r.Header.Values(idempotencyHeader); len(keys) > 1 {
		return nil, apierr.InvalidField(idempotencyHeader, "may be given once")
	}
	q.job.RequestId = r.Header.Get(idempotencyHeader)
	return q, nil
}

// common is what all requests may say.
type common struct {
	Model string `json:"model"`
	// Ours: the most the answer may cost, and the model's exact bytes.
	MaxPrice    string `json:"max_price"`
	ModelDigest string `json:"model_digest"`
}

// sampling is how an answer is made, and how it is sent.
type sampling struct {
	MaxTokens     *int32         `json:"max_tokens"`
	Temperature   *float64       `json:"temperature"`
	TopP          *float64       `json:"top_p"`
	Seed          *int32         `json:"seed"`
	Stop          texts          `json:"stop"`
	Stream        bool           `json:"stream"`
	StreamOptions *streamOptions `json:"stream_options"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

// texts is one text or a list of them.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(content []byte) error {
	var one string
	if json.Unmarshal(content, &one) == nil {
		*t = texts{one}
		return nil
	}
	var all []string
	if err := json.Unmarshal(content, &all); err != nil {
		return errors.New("must be a text or a list of texts")
	}
	*t = all
	return nil
}

func (s sampling) options() *coordinatorv1.JobOptions {
	return &coordinatorv1.JobOptions{
		NumPredict: s.MaxTokens, Temperature: s.Temperature, TopP: s.TopP, Seed: s.Seed, Stop: s.Stop,
	}
}

func (s sampling) check() error {
	if s.StreamOptions != nil && !s.Stream {
		return apierr.InvalidField("stream_options", "is for a streamed answer: leave it out, or set stream")
	}
	return nil
}

func (s sampling) ask(q *question) *question {
	q.stream, q.usage = s.Stream, s.StreamOptions != nil && s.StreamOptions.IncludeUsage
	return q
}

// ignored are OpenAI's fields that change nothing in the answer.
var ignored = []string{
	"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "parallel_tool_calls",
}

// neutral are OpenAI's fields that are not supported, each with the values that ask for nothing.
var neutral = map[string][]string{
	"n": {"1"}, "best_of": {"1"}, "echo": {"false"}, "suffix": {`""`}, "logprobs": {"false"}, "top_logprobs": {"0"},
	"presence_penalty": {"0", "0.0"}, "frequency_penalty": {"0", "0.0"}, "logit_bias": {"{}"}, "modalities": {`["text"]`},
	"functions": {"[]"}, "function_call": {`"auto"`, `"none"`}, "audio": nil, "prediction": nil, "web_search_options": nil,
	"reasoning_effort": nil, "verbosity": nil, "dimensions": nil,
}

// decode fills a request's struct from a JSON object, or names every field at fault. A null is as
// good as nothing.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, new(json.RawMessage)); err != nil {
		return apierr.InvalidField("body", "is not valid JSON: %s", err)
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(body, &given); err != nil || given == nil {
		return apierr.InvalidField("body", "must be a JSON object")
	}
	known := map[string]reflect.Value{}
	fieldsOf(reflect.ValueOf(into).Elem(), known)
	var faults []apierr.Violation
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if remedy := take(name, given[name], known); remedy != "" {
			faults = append(faults, apierr.Violation{Field: name, Remedy: remedy})
		}
	}
	if len(faults) > 0 {
		return apierr.InvalidFields(faults...)
	}
	return nil
}

// fieldsOf finds a struct's fields by their names in JSON, those of embedded structs too.
func fieldsOf(of reflect.Value, known map[string]reflect.Value) {
	for i := range of.NumField() {
		field := of.Type().Field(i)
		if field.Anonymous {
			fieldsOf(of.Field(i), known)
			continue
		}
		known[field.Tag.Get("json")] = of.Field(i)
	}
}

// take puts a value where it belongs; else it says what to do about it.
func take(name string, value json.RawMessage, known map[string]reflect.Value) (remedy string) {
	if string(value) == "null" || slices.Contains(ignored, name) {
		return ""
	}
	if field, ok := known[name]; ok {
		return faultOf(json.Unmarshal(value, field.Addr().Interface()))
	}
	asksNothing, ok := neutral[name]
	if !ok {
		return "is an unknown field; known here: " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")
	}
	var compact bytes.Buffer
	if json.Compact(&compact, value) == nil && slices.Contains(asksNothing, compact.String()) {
		return ""
	}
	return "is not supported: leave it out"
}

// faultOf says what a value should be.
func faultOf(err error) string {
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &wrong):
		return err.Error()
	case wrong.Field != "":
		return fmt.Sprintf("has the wrong type in %s: %s", wrong.Field, wantOf(wrong.Type))
	default:
		return wantOf(wrong.Type)
	}
}

func wantOf(kind reflect.Type) string {
	switch kind.Kind() {
	case reflect.Int32, reflect.Int64, reflect.Int:
		return "must be a whole number of 32 bits"
	case reflect.Float64:
		return "must be a number"
	case reflect.Bool:
		return "must be true or false"
	case reflect.String:
		return "must be text"
	case reflect.Slice:
		return "must be a list"
	default:
		return "must be an object"
	}
}
