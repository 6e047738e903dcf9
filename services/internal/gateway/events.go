package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/aitbc/aitbc/services/internal/apierr"
)

const (
	// eventHeartbeat is how often a silent stream of events says that it lives: proxies cut idle
	// connections after a minute, commonly.
	eventHeartbeat = 15 * time.Second
	// eventPatience is how long a reader may leave unread what it is sent.
	eventPatience = 30 * time.Second

	errorEvent = "error"
)

// Event is one server-sent event.
type Event struct {
	// Name and ID are its fields; an empty one is left out.
	Name, ID string
	// Data is written as JSON.
	Data proto.Message
	// Text, when there is one, is written in place of Data. It has no line breaks.
	Text []byte
}

// EventSource is an open call.
type EventSource interface {
	// Next waits for an event. Errors: io.EOF at the regular end; gRPC statuses.
	Next() (Event, error)
	// Header gives the call's header metadata; it waits for the first answer.
	Header() (metadata.MD, error)
}

// EventStream is a server-streaming method that is served as server-sent events. It has no
// annotation in the contract: grpc-gateway's own streams are not server-sent events.
type EventStream struct {
	// Method is the method.
	Method protoreflect.MethodDescriptor
	// Path is the path that GET serves, such as "/v1/jobs/{job_id}/events".
	Path string
	// Open makes the call. params are the path's, query is held to the method's request already.
	Open func(ctx context.Context, r *http.Request, params map[string]string) (EventSource, error)
}

// addEvents makes the route of an event stream.
func (g *Gateway) addEvents(e EventStream) error {
	r, err := newRoute(e.Method, &annotations.HttpRule{Pattern: &annotations.HttpRule_Get{Get: e.Path}})
	if err != nil {
		return fmt.Errorf("events of %s: %w", e.Method.FullName(), err)
	}
	r.streams = true
	g.routes[r.key()] = r
	return g.mux.HandlePath(r.verb, e.Path, func(w http.ResponseWriter, request *http.Request, params map[string]string) {
		g.serveEvents(w, request, params, e, r)
	})
}

// serveEvents answers with events until the call or its reader ends.
func (g *Gateway) serveEvents(w http.ResponseWriter, r *http.Request, params map[string]string, e EventStream, route *route) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	fail := func(err error) { g.handleError(ctx, g.mux, nil, w, r, err) }
	ctx, err := runtime.AnnotateContext(ctx, g.mux, r, route.method, runtime.WithHTTPPathPattern(e.Path))
	if err != nil {
		fail(err)
		return
	}
	source, err := e.Open(ctx, r, params)
	if err != nil {
		fail(err)
		return
	}
	WriteEvents(ctx, w, source, fail, statusEvent)
}

// WriteEvents answers with a source's events until it or its reader ends. What ends before its first
// event is refused, like any call, unless that took so long that signs of life had to be sent; what
// ends in an error later has that for a last event.
func WriteEvents(ctx context.Context, w http.ResponseWriter, source EventSource, refuse func(error), last func(context.Context, error) Event) {
	ctx, cancel := context.WithCancel(ctx)
	received := receive(ctx, source)
	defer func() {
		cancel()
		for range received { // until the pump has ended
		}
	}()
	out := newEventWriter(w, last)
	defer out.close()
	for {
		next := incoming{}
		select {
		case heard, ok := <-received:
			if !ok {
				return
			}
			next = heard
		case <-out.heartbeat.C:
			next.beat = true
		case <-ctx.Done():
			return
		}
		if !out.started && !next.beat {
			if header, err := source.Header(); err == nil {
				tellHeader(w, header)
			}
			if errors.Is(next.err, io.EOF) { // the reader has had everything; it must not come again
				w.WriteHeader(http.StatusNoContent)
				return
			}
			if next.err != nil {
				refuse(next.err)
				return
			}
		}
		if !out.write(ctx, next) {
			return
		}
	}
}

// tellHeader passes on what callers may see of the call's header.
func tellHeader(w http.ResponseWriter, header metadata.MD) {
	for key, values := range header {
		if name, pass := outgoingHeader(key); pass && len(values) > 0 {
			w.Header().Set(name, values[0])
		}
	}
}

// incoming is what there is to write: an event, why there are no more, or a sign of life.
type incoming struct {
	event Event
	err   error
	beat  bool
}

// receive pumps events into a channel until an error, which is the last thing in it, or ctx's end,
// which is the call's too. Then it closes the channel.
func receive(ctx context.Context, source EventSource) <-chan incoming {
	received := make(chan incoming)
	go func() {
		defer close(received)
		for {
			event, err := source.Next()
			select {
			case received <- incoming{event: event, err: err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return received
}

// eventWriter writes server-sent events (the HTML standard, section 9.2).
type eventWriter struct {
	w         http.ResponseWriter
	control   *http.ResponseController
	json      *marshaler
	heartbeat *time.Ticker
	last      func(context.Context, error) Event
	started   bool
}

func newEventWriter(w http.ResponseWriter, last func(context.Context, error) Event) *eventWriter {
	return &eventWriter{
		w: w, control: http.NewResponseController(w), json: newMarshaler(), heartbeat: time.NewTicker(eventHeartbeat), last: last,
	}
}

func (o *eventWriter) start() {
	header := o.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no") // nginx would gather what is to be seen at once
	o.w.WriteHeader(http.StatusOK)
	o.started = true
}

// close lets the connection be used again.
func (o *eventWriter) close() {
	o.heartbeat.Stop()
	// A connection without deadlines needs no reset.
	_ = o.control.SetWriteDeadline(time.Time{})
}

// write writes and flushes; false: that was the last, or the reader is gone.
func (o *eventWriter) write(ctx context.Context, next incoming) (more bool) {
	if !o.started {
		o.start()
	}
	var text []byte
	switch {
	case next.beat:
		text = []byte(": alive\n\n")
	case errors.Is(next.err, io.EOF):
		return false
	case next.err != nil:
		text = o.encode(o.last(ctx, next.err))
	default:
		text = o.encode(next.event)
	}
	// Where there are no deadlines, the reader's own patience is all there is.
	_ = o.control.SetWriteDeadline(time.Now().Add(eventPatience))
	if _, err := o.w.Write(text); err != nil {
		return false
	}
	o.heartbeat.Reset(eventHeartbeat)
	return o.control.Flush() == nil && next.err == nil
}

// encode writes an event's lines. JSON has no line breaks of its own.
func (o *eventWriter) encode(e Event) []byte {
	data := append(e.Text, '\n')
	if e.Text == nil {
		var err error
		if data, err = o.json.Marshal(e.Data); err != nil {
			// Contracts can be marshalled, so this does not happen; the reader's parser tells.
			data = []byte("{}\n")
		}
	}
	var text []byte
	if e.Name != "" {
		text = append(text, "event: "+e.Name+"\n"...)
	}
	if e.ID != "" {
		text = append(text, "id: "+e.ID+"\n"...)
	}
	text = append(text, "data: "...)
	text = append(text, data...) // with its newline
	return append(text, '\n')
}

// statusEvent is the event of a call that ends early.
func statusEvent(ctx context.Context, err error) Event {
	return Event{Name: errorEvent, Data: statusOfEnd(ctx, err).Proto()}
}

// statusOfEnd gives the status that a stream ended with, in the shape of all errors.
func statusOfEnd(ctx context.Context, err error) *status.Status {
	st := status.Convert(err)
	if _, ours := apierr.FromStatus(st); ours {
		return st
	}
	return classify(ctx, err).Status("")
}
