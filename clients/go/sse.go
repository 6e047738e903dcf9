package aitbc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// eventSilence is how long a stream may be silent: three of the coordinator's heartbeats.
const eventSilence = 45 * time.Second

// eventStream is WatchJob over REST: server-sent events as a gRPC stream. Only the goroutine that
// made it may use it.
type eventStream struct {
	conn    *restConn
	caller  context.Context // who watches; ctx ends with it, with an error and with silence
	ctx     context.Context
	cancel  context.CancelFunc
	request *coordinatorv1.WatchJobRequest

	header  metadata.MD
	lines   *bufio.Scanner // nil: not open yet
	silence *time.Timer
}

var _ grpc.ClientStream = (*eventStream)(nil)

// NewStream opens the one stream that REST has: WatchJob.
func (c *restConn) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	if method != coordinatorv1.JobService_WatchJob_FullMethodName {
		return nil, status.Errorf(codes.Unimplemented, "%s is not possible over REST", method)
	}
	s := &eventStream{conn: c, caller: ctx}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s, nil
}

// SendMsg takes the request.
func (s *eventStream) SendMsg(m any) error {
	request, ok := m.(*coordinatorv1.WatchJobRequest)
	if !ok {
		return status.Errorf(codes.Internal, "%T is no request of WatchJob", m)
	}
	s.request = request
	return nil
}

// CloseSend has nothing to do: the request is sent with the first RecvMsg.
func (*eventStream) CloseSend() error { return nil }

// Header gives the answer's headers; there are none before the first RecvMsg.
func (s *eventStream) Header() (metadata.MD, error) { return s.header, nil }

// Trailer gives nothing: REST has none.
func (*eventStream) Trailer() metadata.MD { return nil }

// Context gives the stream's context.
func (s *eventStream) Context() context.Context { return s.ctx }

// RecvMsg reads the next event. Errors: gRPC statuses, io.EOF at the end; they end the stream.
func (s *eventStream) RecvMsg(m any) error {
	err := s.receive(m)
	if err != nil {
		s.cancel()
	}
	return err
}

func (s *eventStream) receive(m any) error {
	out, ok := m.(*coordinatorv1.WatchJobResponse)
	if !ok {
		return status.Errorf(codes.Internal, "%T is no event", m)
	}
	if s.lines == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	event, err := s.next()
	if err != nil {
		return err
	}
	return event.decode(out)
}

// open sends the request.
func (s *eventStream) open() error {
	address := s.conn.base + "/v1/jobs/" + url.PathEscape(s.request.GetJobId()) + "/events"
	if s.request.GetCancelOnDisconnect() {
		address += "?cancel_on_disconnect=true"
	}
	request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "watch: %v", err)
	}
	outgoing, _ := metadata.FromOutgoingContext(s.ctx)
	for key, values := range outgoing {
		for _, value := range values {
			request.Header.Add(key, value)
		}
	}
	request.Header.Set("User-Agent", s.conn.userAgent)
	request.Header.Set("Accept", "text/event-stream")
	if after := s.request.GetAfterEventId(); after != "" {
		request.Header.Set("Last-Event-ID", after)
	}
	client := *s.conn.client
	client.Timeout = 0 // it bounds whole answers, and this one lasts as long as the job
	s.silence = time.AfterFunc(eventSilence, s.cancel)
	response, err := client.Do(request)
	if err != nil {
		return s.cut(err)
	}
	context.AfterFunc(s.ctx, func() {
		s.silence.Stop()
		_ = response.Body.Close() // nobody reads it any more
	})
	s.header = metadata.MD{}
	for key, values := range response.Header {
		s.header.Append(key, values...)
	}
	switch response.StatusCode {
	case http.StatusOK:
		s.lines = bufio.NewScanner(response.Body)
		s.lines.Buffer(nil, maxAnswerBytes)
		return nil
	case http.StatusNoContent: // nothing follows the event that was named
		return io.EOF
	default:
		body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
		if err != nil {
			return s.cut(err)
		}
		return failureStatus(response, body)
	}
}

// cut is the status of a stream that broke.
func (s *eventStream) cut(err error) error {
	if errors.Is(err, bufio.ErrTooLong) {
		return status.Errorf(codes.Internal, "an event of %s is over %d bytes", s.conn.base, maxAnswerBytes)
	}
	return transportStatus(s.caller, err)
}

// sentEvent is one server-sent event.
type sentEvent struct{ name, id, data string }

// next reads up to the end of an event (the HTML standard, section 9.2.6, without what the
// coordinator never sends).
func (s *eventStream) next() (sentEvent, error) {
	var event sentEvent
	for s.lines.Scan() {
		s.silence.Reset(eventSilence)
		line := s.lines.Text()
		if line == "" {
			if event.name != "" {
				return event, nil
			}
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			event.name = value
		case "id":
			event.id = value
		case "data":
			event.data = value
		}
	}
	if err := s.lines.Err(); err != nil {
		return event, s.cut(err)
	}
	// Only 204 is an end without the event `done`.
	return event, status.Error(codes.Unavailable, "the stream of events was cut")
}

// decode makes the contract's event of it; of the event `error`, its status.
func (e sentEvent) decode(out *coordinatorv1.WatchJobResponse) error {
	read := protojson.UnmarshalOptions{DiscardUnknown: true} // newer coordinators say more
	if e.name == "error" {
		said := &spb.Status{}
		if err := read.Unmarshal([]byte(e.data), said); err != nil || said.GetCode() == 0 {
			return status.Errorf(codes.Internal, "the stream ended with an error that cannot be read: %q", e.data)
		}
		return status.ErrorProto(said)
	}
	proto.Reset(out)
	message := out.ProtoReflect()
	field := message.Descriptor().Oneofs().ByName("event").Fields().ByName(protoreflect.Name(e.name))
	if field == nil {
		return status.Error(codes.Internal, fmt.Sprintf("an event of the unknown kind %q", e.name))
	}
	out.EventId = e.id
	if err := read.Unmarshal([]byte(e.data), message.Mutable(field).Message().Interface()); err != nil {
		return status.Errorf(codes.Internal, "an event cannot be read: %v", err)
	}
	return nil
}
