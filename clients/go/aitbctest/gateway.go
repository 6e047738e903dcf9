package aitbctest

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

const requestIDHeader = "x-request-id"

// newGateway serves the contract's REST side through the gRPC one.
func newGateway(conn *grpc.ClientConn) (http.Handler, error) {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
			MarshalOptions: protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true},
		}),
		runtime.WithIncomingHeaderMatcher(func(key string) (string, bool) {
			return strings.ToLower(key), strings.EqualFold(key, "x-api-key")
		}),
		runtime.WithOutgoingHeaderMatcher(func(key string) (string, bool) {
			return key, key == requestIDHeader
		}),
		runtime.WithErrorHandler(writeError),
	)
	for _, register := range []func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error{
		coordinatorv1.RegisterJobServiceHandler,
		coordinatorv1.RegisterReceiptServiceHandler,
		coordinatorv1.RegisterNetworkServiceHandler,
		coordinatorv1.RegisterKeyServiceHandler,
		coordinatorv1.RegisterFaucetServiceHandler,
	} {
		if err := register(context.Background(), mux, conn); err != nil {
			return nil, fmt.Errorf("register gateway: %w", err)
		}
	}
	if err := mux.HandlePath(http.MethodGet, eventsPath, serveEvents(mux, conn)); err != nil {
		return nil, fmt.Errorf("register gateway: %w", err)
	}
	return mux, nil
}

func writeError(ctx context.Context, mux *runtime.ServeMux, m runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	s := status.Convert(err)
	code := runtime.HTTPStatusFromCode(s.Code())
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			code = httpOf(aitbc.Reason(d.GetReason()), code)
		case *errdetails.RetryInfo:
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(d.GetRetryDelay().AsDuration().Seconds()))))
		}
	}
	runtime.DefaultHTTPErrorHandler(ctx, mux, m, w, r, &runtime.HTTPStatusError{HTTPStatus: code, Err: err})
}

// httpOf gives the HTTP status of the reasons whose gRPC code says another one.
func httpOf(reason aitbc.Reason, otherwise int) int {
	switch reason {
	case aitbc.ReasonInsufficientFunds:
		return http.StatusPaymentRequired
	case aitbc.ReasonWrongState:
		return http.StatusConflict
	}
	return otherwise
}

// intercept checks the key, names the call, and turns errors into the contract's.
func intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := grpc.SetHeader(ctx, metadata.Pairs(requestIDHeader, "req-"+info.FullMethod[strings.LastIndex(info.FullMethod, "/")+1:])); err != nil {
		return nil, err
	}
	if err := checkKey(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	resp, err := handle(ctx, req)
	if err != nil {
		return nil, statusOf(err)
	}
	return resp, nil
}

// interceptStream does the same for streams.
func interceptStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := checkKey(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	if err := handle(srv, stream); err != nil {
		return statusOf(err)
	}
	return nil
}

// checkKey wants an admin's key for what is about keys, none for the faucet, and the client's for all else.
func checkKey(ctx context.Context, method string) error {
	if method == coordinatorv1.FaucetService_FillAccount_FullMethodName {
		return nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	keys := md.Get("x-api-key")
	if len(keys) != 1 || keys[0] != APIKey && keys[0] != AdminKey {
		return statusOf(refusal(aitbc.ReasonInvalidKey, codes.Unauthenticated, "no API key was given, or it is unknown"))
	}
	wanted, scope := APIKey, aitbc.ScopeClient
	if strings.HasPrefix(method, "/"+coordinatorv1.KeyService_ServiceDesc.ServiceName+"/") {
		wanted, scope = AdminKey, aitbc.ScopeAdmin
	}
	if keys[0] != wanted {
		return statusOf(refusal(aitbc.ReasonScopeMissing, codes.PermissionDenied, "this needs a key of scope "+string(scope)))
	}
	return nil
}

func refusal(reason aitbc.Reason, code codes.Code, message string) *aitbc.Error {
	return &aitbc.Error{Reason: reason, Code: code, Message: message}
}

func invalidField(field, message string) *aitbc.Error {
	e := refusal(aitbc.ReasonInvalidField, codes.InvalidArgument, field+": "+message)
	e.Fields = []aitbc.FieldError{{Field: field, Message: message}}
	return e
}

// statusOf makes the contract's status of an error.
func statusOf(err error) error {
	e := asError(err)
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: string(e.Reason), Domain: "aitbc", Metadata: e.Metadata}}
	if len(e.Fields) > 0 {
		bad := &errdetails.BadRequest{}
		for _, f := range e.Fields {
			bad.FieldViolations = append(bad.FieldViolations,
				&errdetails.BadRequest_FieldViolation{Field: f.Field, Description: f.Message})
		}
		details = append(details, bad)
	}
	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	s, err := status.New(e.Code, e.Message).WithDetails(details...)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return s.Err()
}
