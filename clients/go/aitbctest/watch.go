package aitbctest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

const eventsPath = "/v1/jobs/{job_id}/events"

// events counts what one stream has sent.
type events struct {
	stream coordinatorv1.JobService_WatchJobServer
	left   int // until the cut; negative: there is none
}

var errCut = refusal(aitbc.ReasonOverloaded, codes.Unavailable, "the stream was cut, as the test wants it")

func (e *events) send(id string, m *coordinatorv1.WatchJobResponse) error {
	if e.left == 0 {
		return errCut
	}
	e.left--
	m.EventId = id
	return e.stream.Send(m)
}

// WatchJob moves the job to its end and shows it on its way there, the answer word by word.
func (s jobService) WatchJob(req *coordinatorv1.WatchJobRequest, stream coordinatorv1.JobService_WatchJobServer) error {
	from, ended := 0, false
	if after := req.GetAfterEventId(); after != "" {
		rest, done := strings.CutSuffix(after, ".done")
		if _, err := fmt.Sscanf(rest, "1.%d", &from); err != nil {
			return invalidField("after_event_id", "must be the id of an event")
		}
		ended = done
	}
	out := &events{stream: stream, left: s.book.cfg.CutAfter}
	if out.left == 0 {
		out.left = -1
	}
	if req.GetCancelOnDisconnect() {
		defer func() {
			if out.left == 0 || stream.Context().Err() != nil { // a job that has ended stays as it is
				_, _ = s.CancelJob(context.WithoutCancel(stream.Context()), &coordinatorv1.CancelJobRequest{JobId: req.GetJobId()})
			}
		}()
	}
	job, answer, err := s.book.look(req.GetJobId(), false)
	if err != nil || ended {
		return err
	}
	id := fmt.Sprintf("1.%d", from)
	for ; !aitbc.Status(job.GetStatus()).Terminal(); job, answer, err = s.book.look(req.GetJobId(), true) {
		if err != nil {
			return err
		}
		if err := out.send(id, &coordinatorv1.WatchJobResponse{Event: &coordinatorv1.WatchJobResponse_State{State: job}}); err != nil {
			return err
		}
	}
	if id, err = out.sendText(from, answer); err != nil {
		return err
	}
	return out.send(id+".done", &coordinatorv1.WatchJobResponse{Event: &coordinatorv1.WatchJobResponse_Done{Done: job}})
}

func (e *events) sendText(from int, answer string) (id string, err error) {
	at := 0
	for word := range strings.SplitAfterSeq(answer, " ") {
		end := at + len(word)
		if end > from {
			text := &coordinatorv1.JobText{Attempt: 1, Offset: int32(at), Text: word}
			m := &coordinatorv1.WatchJobResponse{Event: &coordinatorv1.WatchJobResponse_Text{Text: text}}
			if err := e.send(fmt.Sprintf("1.%d", end), m); err != nil {
				return "", err
			}
		}
		at = end
	}
	return fmt.Sprintf("1.%d", at), nil
}

// look shows a job and its answer, one step on if wanted.
func (b *book) look(id string, step bool) (*coordinatorv1.Job, string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, err := b.find(id)
	if err != nil {
		return nil, "", err
	}
	if step {
		b.step(e)
	}
	return proto.CloneOf(e.job), e.answer.Text, nil
}

// serveEvents serves WatchJob as server-sent events.
func serveEvents(mux *runtime.ServeMux, conn *grpc.ClientConn) runtime.HandlerFunc {
	jobs := coordinatorv1.NewJobServiceClient(conn)
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		fail := func(err error) { writeError(r.Context(), mux, &runtime.JSONPb{}, w, r, err) }
		ctx, err := runtime.AnnotateContext(r.Context(), mux, r, coordinatorv1.JobService_WatchJob_FullMethodName)
		if err != nil {
			fail(err)
			return
		}
		stream, err := jobs.WatchJob(ctx, &coordinatorv1.WatchJobRequest{
			JobId: params["job_id"], AfterEventId: r.Header.Get("Last-Event-ID"),
			CancelOnDisconnect: r.URL.Query().Get("cancel_on_disconnect") == "true",
		})
		if err != nil {
			fail(err)
			return
		}
		for sent := false; ; sent = true {
			m, err := stream.Recv()
			switch {
			case errors.Is(err, io.EOF) && !sent:
				w.WriteHeader(http.StatusNoContent)
				return
			case err != nil && !sent:
				fail(err)
				return
			case err != nil:
				return // a cut, as far as the reader can see
			}
			w.Header().Set("Content-Type", "text/event-stream")
			if _, err := w.Write(encodeEvent(m)); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
		}
	}
}

func encodeEvent(m *coordinatorv1.WatchJobResponse) []byte {
	message := m.ProtoReflect()
	field := message.WhichOneof(message.Descriptor().Oneofs().ByName("event"))
	data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message.Get(field).Message().Interface())
	if err != nil {
		data = []byte("{}") // it was made here, so it can be marshalled
	}
	return fmt.Appendf(nil, "event: %s\nid: %s\ndata: %s\n\n", field.Name(), m.GetEventId(), data)
}
