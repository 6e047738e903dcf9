package aitbc_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/aitbctest"
)

const seedText = "Machine learning is a subset of artificial intelligence..."

// streaming runs a test over REST and over gRPC.
func streaming(t *testing.T, cfg aitbctest.Config, test func(*testing.T, *aitbc.Client)) {
	t.Helper()
	for _, transport := range []string{"REST", "gRPC"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			server, err := aitbctest.Start(cfg)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, server.Close()) })
			target := map[string]string{"REST": server.URL(), "gRPC": server.Target()}[transport]
			client, err := aitbc.New(target, aitbc.WithAPIKey(aitbctest.APIKey), aitbc.WithRetry(aitbc.RetryPolicy{
				MaxRetries: 1, FirstDelay: time.Millisecond, MaxDelay: time.Millisecond,
			}))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, client.Close()) })
			test(t, client)
		})
	}
}

func TestAStreamShowsStatesTextAndEnd(t *testing.T) {
	t.Parallel()
	streaming(t, aitbctest.Config{}, func(t *testing.T, client *aitbc.Client) {
		var kinds, text []string
		var last *aitbc.Event
		for event, err := range client.Stream(t.Context(), aitbc.SubmitRequest{Prompt: "What?", Model: "m"}) {
			require.NoError(t, err)
			if event.Kind == aitbc.EventText {
				require.EqualValues(t, len(strings.Join(text, "")), event.Offset)
				require.Equal(t, 1, event.Attempt)
				text = append(text, event.Text)
			} else {
				kinds = append(kinds, string(event.Kind)+" "+string(event.Job.Status))
			}
			last = event
		}
		require.Equal(t, []string{"state pending", "state pending", "state running", "done completed"}, kinds)
		require.Greater(t, len(text), 5)
		require.Equal(t, seedText, strings.Join(text, ""))
		require.Equal(t, seedText, last.Job.Result)
		require.NotEmpty(t, last.Job.ReceiptID)

		for event, err := range client.Events(t.Context(), last.Job.ID, last.ID) {
			require.Fail(t, "something came behind the end", "%v %v", event, err)
		}
	})
}

func TestACutStreamIsResumedWithoutGapOrRepetition(t *testing.T) {
	t.Parallel()
	for _, cut := range []int{1, 2, 3, 4} {
		// With two states first on each connection, the first cut has to leave room for one piece.
		streaming(t, aitbctest.Config{CutAfter: cut}, func(t *testing.T, client *aitbc.Client) {
			submitted, err := client.Submit(t.Context(), aitbc.SubmitRequest{Prompt: "What?", Model: "m"})
			require.NoError(t, err)
			var text strings.Builder
			for token, err := range client.Tokens(t.Context(), submitted.JobID) {
				require.NoError(t, err)
				text.WriteString(token.Text)
			}
			require.Equal(t, seedText, text.String())
		})
	}
}

func TestAFailedJobEndsItsTokensWithWhy(t *testing.T) {
	t.Parallel()
	fails := func(context.Context, aitbc.SubmitRequest) (aitbctest.Answer, error) {
		return aitbctest.Answer{}, &aitbc.JobError{Reason: "ENGINE_ERROR", Message: "so it is"}
	}
	streaming(t, aitbctest.Config{Answer: fails}, func(t *testing.T, client *aitbc.Client) {
		submitted, err := client.Submit(t.Context(), aitbc.SubmitRequest{Prompt: "What?", Model: "m"})
		require.NoError(t, err)
		var failure *aitbc.JobError
		for token, err := range client.Tokens(t.Context(), submitted.JobID) {
			require.Empty(t, token)
			require.ErrorAs(t, err, &failure)
		}
		require.NotNil(t, failure)
		require.EqualValues(t, "ENGINE_ERROR", failure.Reason)
	})
}

func TestRefusedStreamsGiveTheContractsErrors(t *testing.T) {
	t.Parallel()
	streaming(t, aitbctest.Config{}, func(t *testing.T, client *aitbc.Client) {
		events := func(ctx context.Context, id aitbc.JobID, after string) (err error) {
			for event, failure := range client.Events(ctx, id, after) {
				require.Nil(t, event)
				err = failure
			}
			return err
		}
		var failure *aitbc.Error
		require.ErrorAs(t, events(t.Context(), aitbc.JobID{1}, ""), &failure)
		require.Equal(t, aitbc.ReasonJobNotFound, failure.Reason)
		require.ErrorAs(t, events(t.Context(), aitbc.JobID{1}, "nonsense"), &failure)
		require.Equal(t, aitbc.ReasonInvalidField, failure.Reason)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, events(gone, aitbc.JobID{1}, ""), context.Canceled)
	})
}

// streams answers each request with the next text, and then says nothing until the request ends.
type streams struct {
	texts    []string
	requests []*http.Request
}

// RoundTrip implements http.RoundTripper.
func (s *streams) RoundTrip(r *http.Request) (*http.Response, error) {
	text := s.texts[len(s.requests)]
	s.requests = append(s.requests, r)
	reader, writer := io.Pipe()
	context.AfterFunc(r.Context(), func() { writer.CloseWithError(r.Context().Err()) })
	go func() { _, _ = writer.Write([]byte(text)) }()
	return &http.Response{StatusCode: http.StatusOK, Body: reader, Request: r}, nil
}

func TestASilentStreamIsOpenedAgain(t *testing.T) {
	t.Parallel()
	id := aitbc.JobID{1}
	synctest.Test(t, func(t *testing.T) {
		server := &streams{texts: []string{
			"event: text\nid: 1.2.x\ndata: {\"attempt\":1,\"offset\":0,\"text\":\"ab\"}\n\n",
			": alive\n\nevent: done\nid: 1.2.x.done\ndata: {\"job_id\":\"" + id.String() + "\",\"status\":\"completed\"}\n\n",
		}}
		client, err := aitbc.New("http://coordinator.example", aitbc.WithHTTPClient(&http.Client{Transport: server}))
		require.NoError(t, err)
		began := time.Now()
		var kinds []aitbc.EventKind
		for event, err := range client.Events(t.Context(), id, "") {
			require.NoError(t, err)
			kinds = append(kinds, event.Kind)
		}
		require.Equal(t, []aitbc.EventKind{aitbc.EventText, aitbc.EventDone}, kinds)
		require.Equal(t, "1.2.x", server.requests[1].Header.Get("Last-Event-ID"))
		require.GreaterOrEqual(t, time.Since(began), 45*time.Second, "three heartbeats")
		require.Less(t, time.Since(began), 50*time.Second)
		require.NoError(t, client.Close())
	})
}

func TestAJobIsCancelledWithItsWatchersConnectionWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	streaming(t, aitbctest.Config{CutAfter: 1}, func(t *testing.T, client *aitbc.Client) {
		for status, options := range map[aitbc.Status][]aitbc.WatchOption{
			aitbc.StatusCompleted: nil,
			aitbc.StatusCancelled: {aitbc.CancelOnDisconnect()},
		} {
			var last *aitbc.Event
			for event, err := range client.Stream(t.Context(), aitbc.SubmitRequest{Prompt: "What?", Model: "m"}, options...) {
				require.NoError(t, err)
				last = event
			}
			require.Equal(t, aitbc.EventDone, last.Kind, "the stream was cut and had again")
			require.Equal(t, status, last.Job.Status)
		}
	})
}
