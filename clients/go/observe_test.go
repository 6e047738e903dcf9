package aitbc_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/stats"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/aitbctest"
)

// notes is what observers noted.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.lines)
}

func (n *notes) observer(name string) aitbc.Observer {
	return func(ctx context.Context, method string, try int) (context.Context, func(error)) {
		n.add(name + " begins")
		return ctx, func(err error) {
			switch {
			case err == nil:
				n.add(name + " ends")
			case errors.Is(err, context.Canceled):
				n.add(name + " is left")
			default:
				n.add(name + " fails")
			}
		}
	}
}

func TestObserversAreToldOfEachTry(t *testing.T) {
	t.Parallel()
	failed := false
	cfg := aitbctest.Config{Answer: func(ctx context.Context, req aitbc.SubmitRequest) (aitbctest.Answer, error) {
		if !failed {
			failed = true
			return aitbctest.Answer{}, &aitbc.Error{Reason: aitbc.ReasonRateLimited, Message: "later", RetryAfter: time.Millisecond}
		}
		return aitbctest.SeedAnswer(ctx, req)
	}}
	for name, target := range map[string]func(*aitbctest.Server) string{"REST": (*aitbctest.Server).URL, "gRPC": (*aitbctest.Server).Target} {
		failed = false
		t.Run(name, func(t *testing.T) {
			noted := &notes{}
			client := newClient(t, target(startServer(t, cfg)), aitbc.WithObserver(noted.observer("inner")), aitbc.WithObserver(noted.observer("outer")))
			submitted, err := client.Submit(t.Context(), question)
			require.NoError(t, err)
			require.Equal(t, []string{
				"outer begins", "inner begins", "inner fails", "outer fails", "outer begins", "inner begins", "inner ends", "outer ends",
			}, noted.all())
			for event, err := range client.Events(t.Context(), submitted.JobID, "") {
				require.NoError(t, err)
				if event.Kind == aitbc.EventState {
					break
				}
			}
			require.Eventually(t, func() bool { return len(noted.all()) == 12 }, 10*time.Second, time.Millisecond)
			require.Equal(t, []string{"inner is left", "outer is left"}, noted.all()[10:])
			_, err = client.Wait(t.Context(), submitted.JobID)
			require.NoError(t, err)
			for _, err := range client.Events(t.Context(), submitted.JobID, "") {
				require.NoError(t, err)
			}
			require.Eventually(t, func() bool { return noted.all()[len(noted.all())-1] == "outer ends" }, 10*time.Second, time.Millisecond)
		})
	}
}

// counting is a stats.Handler that counts the calls that began.
type counting struct {
	mu    sync.Mutex
	begun int
}

func (*counting) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*counting) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*counting) HandleConn(context.Context, stats.ConnStats)                       {}
func (c *counting) HandleRPC(_ context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.Begin); ok {
		c.mu.Lock()
		c.begun++
		c.mu.Unlock()
	}
}

func TestAStatsHandlerSeesGRPC(t *testing.T) {
	t.Parallel()
	handler := &counting{}
	client := newClient(t, startServer(t, aitbctest.Config{}).Target(), aitbc.WithStatsHandler(handler))
	_, err := client.Account(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, handler.begun)
}
