package apierr

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Error is a failure as the caller may see it. It is immutable: the With methods return copies.
type Error struct {
	Reason coordinatorv1.ErrorReason
	// Message is for people: what happened and what to do.
	Message string
	// Violations name the faulty fields of an INVALID_FIELD.
	Violations []Violation
	// Metadata holds every variable of Message.
	Metadata map[string]string
	// RetryAfter, when not zero, is how long the caller should stay away.
	RetryAfter time.Duration

	cause error
}

// Violation is one faulty field.
type Violation struct {
	// Field is its path in the contract's snake_case, such as "options.stop[2]".
	Field string
	// Remedy says what to send instead.
	Remedy string
}

// New makes an error. Its variables belong into the metadata too: see With.
func New(reason coordinatorv1.ErrorReason, format string, args ...any) *Error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// InvalidField is an INVALID_FIELD for one field.
func InvalidField(field, format string, args ...any) *Error {
	return InvalidFields(Violation{Field: field, Remedy: fmt.Sprintf(format, args...)})
}

// InvalidFields is an INVALID_FIELD that names all faults at once.
func InvalidFields(violations ...Violation) *Error {
	fields := make([]string, len(violations))
	texts := make([]string, len(violations))
	for i, v := range violations {
		fields[i] = v.Field
		texts[i] = v.Field + ": " + v.Remedy
	}
	return &Error{
		Reason:     coordinatorv1.ErrorReason_ERROR_REASON_INVALID_FIELD,
		Message:    strings.Join(texts, "; "),
		Violations: violations,
		Metadata:   map[string]string{"fields": strings.Join(fields, ",")},
	}
}

// Internal is a fault of ours. The cause is for the log; Status never shows it.
func Internal(cause error) *Error {
	return &Error{
		Reason:  coordinatorv1.ErrorReason_ERROR_REASON_INTERNAL,
		Message: "internal error",
		cause:   cause,
	}
}

// With adds one variable of the message to the metadata.
func (e *Error) With(key, value string) *Error {
	c := *e
	c.Metadata = maps.Clone(e.Metadata)
	if c.Metadata == nil {
		c.Metadata = make(map[string]string, 1)
	}
	c.Metadata[key] = value
	return &c
}

// WithRetryAfter says how long the caller should stay away.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// WithCause keeps what led here, for the log and for errors.Is; the caller never sees it.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Error implements error, cause included: this text is for the log.
func (e *Error) Error() string {
	text := Word(e.Reason) + ": " + e.Message
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus lets gRPC send the error even where no interceptor maps it.
func (e *Error) GRPCStatus() *status.Status { return e.Status("") }

// Status is the answer. The request id goes into the text of an INTERNAL, whose own text is fixed.
func (e *Error) Status(requestID string) *status.Status {
	info := &errdetails.ErrorInfo{Reason: Word(e.Reason), Domain: Domain, Metadata: e.Metadata}
	message := e.Message
	if RowOf(e.Reason).Code == codes.Internal {
		message = "internal error"
		if requestID != "" {
			message = fmt.Sprintf("internal error; the operator's log has it under request id %s", requestID)
			info.Metadata = map[string]string{"request_id": requestID}
		}
	}
	details := []protoadapt.MessageV1{info}
	if len(e.Violations) > 0 {
		details = append(details, badRequest(e.Violations))
	}
	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	st := status.New(RowOf(e.Reason).Code, message)
	detailed, err := st.WithDetails(details...)
	if err != nil {
		// Only an OK code or an unmarshalable detail fails, and neither is possible here.
		return st
	}
	return detailed
}

func badRequest(violations []Violation) *errdetails.BadRequest {
	out := &errdetails.BadRequest{}
	for _, v := range violations {
		out.FieldViolations = append(out.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: v.Field, Description: v.Remedy})
	}
	return out
}

// FromStatus reads back what Status wrote; ok is false for a status of other origin.
func FromStatus(st *status.Status) (e *Error, ok bool) {
	e = &Error{Message: st.Message()}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == Domain {
				e.Reason, ok = ParseWord(d.GetReason())
				e.Metadata = d.GetMetadata()
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Violations = append(e.Violations, Violation{Field: v.GetField(), Remedy: v.GetDescription()})
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	return e, ok
}
