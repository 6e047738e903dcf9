package rpc

import (
	"context"
	"errors"
	"fmt"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/aitbc/aitbc/services/internal/apierr"
)

// validation holds every request, and every message of a client's stream, to the buf.validate rules
// of the contracts.
type validation struct {
	validator protovalidate.Validator
}

func newValidation() (*validation, error) {
	validator, err := protovalidate.New()
	if err != nil {
		return nil, fmt.Errorf("making the validator: %w", err)
	}
	return &validation{validator: validator}, nil
}

func (v *validation) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := v.check(req); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (v *validation) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(srv, &validatedStream{ServerStream: stream, validation: v})
}

type validatedStream struct {
	grpc.ServerStream
	validation *validation
}

// RecvMsg implements grpc.ServerStream.
func (s *validatedStream) RecvMsg(message any) error {
	if err := s.ServerStream.RecvMsg(message); err != nil {
		return err
	}
	return s.validation.check(message)
}

func (v *validation) check(request any) error {
	message, ok := request.(proto.Message)
	if !ok {
		return apierr.Internal(fmt.Errorf("%T is no protobuf message", request))
	}
	err := v.validator.Validate(message)
	if err == nil {
		return nil
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		return apierr.Internal(fmt.Errorf("validating %s: %w", message.ProtoReflect().Descriptor().FullName(), err))
	}
	return apierr.InvalidFields(violationsOf(invalid)...)
}

// violationsOf names each faulty field once, by the first of its rules that was broken: that an empty
// text does not match a pattern either helps nobody.
func violationsOf(invalid *protovalidate.ValidationError) []apierr.Violation {
	var violations []apierr.Violation
	named := make(map[string]bool)
	for _, violation := range invalid.Violations {
		field := protovalidate.FieldPathString(violation.Proto.GetField())
		if named[field] {
			continue
		}
		named[field] = true
		violations = append(violations, apierr.Violation{Field: field, Remedy: remedy(violation)})
	}
	return violations
}
