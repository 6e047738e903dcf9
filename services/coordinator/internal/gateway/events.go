package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/gateway"
)

const (
	jobIDField        = "job_id"
	afterEventIDField = "after_event_id"
	cancelField       = "cancel_on_disconnect"
	// lastEventIDHeader is what browsers send when they open a stream of events again.
	lastEventIDHeader = "Last-Event-ID"
)

// jobEvents serves WatchJob.
func jobEvents(jobs coordinatorv1.JobServiceClient) gateway.EventStream {
	service := coordinatorv1.File_aitbc_coordinator_v1_job_service_proto.Services().ByName("JobService")
	return gateway.EventStream{
		Method: service.Methods().ByName("WatchJob"),
		Path:   "/v1/jobs/{" + jobIDField + "}/events",
		Open: func(ctx context.Context, r *http.Request, params map[string]string) (gateway.EventSource, error) {
			after, err := afterEventID(r)
			if err != nil {
				return nil, err
			}
			cancel, _ := strconv.ParseBool(r.URL.Query().Get(cancelField)) // held to the contract's type already; absent: false
			st, err := jobs.WatchJob(ctx, &coordinatorv1.WatchJobRequest{
				JobId: params[jobIDField], AfterEventId: after, CancelOnDisconnect: cancel,
			})
			if err != nil {
				return nil, err
			}
			return jobEventSource{st}, nil
		},
	}
}

// afterEventID reads where to go on. A browser's own header is newer than the query of the address
// that it was given first.
func afterEventID(r *http.Request) (string, error) {
	switch given := r.Header.Values(lastEventIDHeader); len(given) {
	case 0:
		return r.URL.Query().Get(afterEventIDField), nil
	case 1:
		return given[0], nil
	default:
		return "", apierr.InvalidField(lastEventIDHeader, "may be given once")
	}
}

type jobEventSource struct {
	stream coordinatorv1.JobService_WatchJobClient
}

var _ gateway.EventSource = jobEventSource{}

// Header implements gateway.EventSource.
func (s jobEventSource) Header() (metadata.MD, error) { return s.stream.Header() }

// Next implements gateway.EventSource.
func (s jobEventSource) Next() (gateway.Event, error) {
	m, err := s.stream.Recv()
	if err != nil {
		return gateway.Event{}, err
	}
	event := gateway.Event{ID: m.GetEventId()}
	event.Name, event.Data = nameAndData(m)
	if event.Data == nil {
		return event, apierr.Internal(fmt.Errorf("an event of an unknown kind: %v", m))
	}
	return event, nil
}

// nameAndData gives the contract's name of an event and what is in it.
func nameAndData(m *coordinatorv1.WatchJobResponse) (string, proto.Message) {
	message := m.ProtoReflect()
	field := message.WhichOneof(message.Descriptor().Oneofs().ByName("event"))
	if field == nil {
		return "", nil
	}
	return string(field.Name()), message.Get(field).Message().Interface()
}
