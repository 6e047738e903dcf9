package aitbc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// restConn makes gRPC calls over REST, by the HTTP rules in the contract itself: whatever method
// the contract has a rule for works, and nothing is said twice.
type restConn struct {
	base      string // scheme, host, path
	client    *http.Client
	userAgent string
}

var _ grpc.ClientConnInterface = (*restConn)(nil)

// Invoke makes one call. Its error is a gRPC status.
func (c *restConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	in, okIn := args.(proto.Message)
	out, okOut := reply.(proto.Message)
	if !okIn || !okOut {
		return status.Errorf(codes.Internal, "%s: not protobuf messages", method)
	}
	rule, err := ruleOf(method)
	if err != nil {
		return status.Error(codes.Unimplemented, err.Error())
	}
	request, err := c.request(ctx, rule, in)
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "%s: %v", method, err)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return transportStatus(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err != nil {
		return transportStatus(ctx, err)
	}
	tellHeader(opts, response.Header)
	if response.StatusCode != http.StatusOK {
		return failureStatus(response, body)
	}
	if len(body) > maxAnswerBytes {
		return status.Errorf(codes.Internal, "answer of %s is over %d bytes", c.base, maxAnswerBytes)
	}
	read := protojson.UnmarshalOptions{DiscardUnknown: true} // newer coordinators say more
	if err := read.Unmarshal(body, rule.answer(out)); err != nil {
		return status.Errorf(codes.Internal, "%s does not answer like a coordinator: %v", c.base, err)
	}
	return nil
}

func (c *restConn) request(ctx context.Context, rule httpRule, in proto.Message) (*http.Request, error) {
	path, err := rule.path(in)
	if err != nil {
		return nil, err
	}
	var body io.Reader = http.NoBody
	if rule.hasBody {
		encoded, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, rule.verb, c.base+path, body)
	if err != nil {
		return nil, err
	}
	outgoing, _ := metadata.FromOutgoingContext(ctx)
	for key, values := range outgoing {
		for _, value := range values {
			request.Header.Add(key, value)
		}
	}
	request.Header.Set("User-Agent", c.userAgent)
	request.Header.Set("Accept", "application/json")
	if rule.hasBody {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, nil
}

// tellHeader gives the answer's headers to who asked for them with [grpc.Header].
func tellHeader(opts []grpc.CallOption, header http.Header) {
	for _, opt := range opts {
		if wanted, ok := opt.(grpc.HeaderCallOption); ok {
			*wanted.HeaderAddr = metadata.MD{}
			for key, values := range header {
				wanted.HeaderAddr.Append(key, values...)
			}
		}
	}
}

// transportStatus is the status of a call that got no answer.
func transportStatus(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL, which the caller adds
	}
	return status.Error(codes.Unavailable, err.Error())
}

// failureStatus is the status of an answer that is not 200.
func failureStatus(response *http.Response, body []byte) error {
	said := &spb.Status{}
	read := protojson.UnmarshalOptions{DiscardUnknown: true}
	if read.Unmarshal(body, said) != nil || said.GetCode() == 0 {
		said = &spb.Status{ // somebody in between
			Code:    int32(codeOfHTTP(response.StatusCode)),
			Message: fmt.Sprintf("HTTP %s, and not in the words of a coordinator", response.Status),
		}
	}
	failure := status.FromProto(said)
	for _, detail := range failure.Details() {
		if _, ok := detail.(*errdetails.RetryInfo); ok {
			return failure.Err()
		}
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(response.Header.Get("Retry-After")), 10, 32)
	if err != nil || seconds <= 0 {
		return failure.Err()
	}
	delay := durationpb.New(time.Duration(seconds) * time.Second)
	if more, err := failure.WithDetails(&errdetails.RetryInfo{RetryDelay: delay}); err == nil {
		failure = more
	}
	return failure.Err()
}

func codeOfHTTP(code int) codes.Code {
	switch code {
	case http.StatusBadRequest:
		return codes.InvalidArgument
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return codes.NotFound
	case http.StatusConflict:
		return codes.Aborted
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return codes.Unavailable
	}
	return codes.Unknown
}
