package aitbc_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

const (
	accountJSON = `{"account_id":"","balance":"1aitbc","something_new":true}`
	jobJSON     = `{"job_id":"job_01jjsbfpdr041061050r3gg28a","status":"STATUS","phase":"p"}`
)

// script answers HTTP requests one after the other and keeps when they came and what they said.
type script struct {
	answers []answer
	begin   time.Time
	times   []time.Duration
	bodies  []string
	last    *http.Request
}

type answer struct {
	status     int
	body       string
	retryAfter string
	hang       bool
	err        error
}

// RoundTrip gives the next answer; the last one for ever.
func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.begin.IsZero() {
		s.begin = time.Now()
	}
	s.times = append(s.times, time.Since(s.begin))
	s.last = r
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		s.bodies = append(s.bodies, string(body))
	}
	a := s.answers[min(len(s.times), len(s.answers))-1]
	if a.hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if a.err != nil {
		return nil, a.err
	}
	response := &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a.body)), Request: r,
	}
	if a.retryAfter != "" {
		response.Header.Set("Retry-After", a.retryAfter)
	}
	return response, nil
}

func (s *script) client(t *testing.T, opts ...aitbc.Option) *aitbc.Client {
	t.Helper()
	opts = append([]aitbc.Option{aitbc.WithHTTPClient(&http.Client{Transport: s}), aitbc.WithAPIKey("k")}, opts...)
	client, err := aitbc.New("http://coordinator.test", opts...)
	require.NoError(t, err)
	return client
}

func TestRetries(t *testing.T) {
	t.Parallel()
	overloaded := answer{status: 503, body: `{"code":14,"message":"busy","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"OVERLOADED","domain":"aitbc"}]}`}
	limited := answer{status: 429, body: `{"code":8,"message":"slow down"}`, retryAfter: "7"}
	good := answer{status: 200, body: accountJSON}
	refused := answer{err: errors.New("connection refused")}
	cases := []struct {
		name    string
		answers []answer
		tries   int
		fails   bool
		code    codes.Code
		reason  aitbc.Reason
		least   time.Duration // of the whole call
		most    time.Duration
	}{
		{"good at once", []answer{good}, 1, false, 0, "", 0, 0},
		{"overloaded once", []answer{overloaded, good}, 2, false, 0, "", 125 * time.Millisecond, 250 * time.Millisecond},
		{"no connection three times", []answer{refused, refused, refused, good}, 4, false, 0, "", 875 * time.Millisecond, 1750 * time.Millisecond},
		{"no connection at all", []answer{refused}, 4, true, codes.Unavailable, aitbc.ReasonUnreachable, 875 * time.Millisecond, 1750 * time.Millisecond},
		{"overloaded for long", []answer{overloaded}, 4, true, codes.Unavailable, aitbc.ReasonOverloaded, 875 * time.Millisecond, 1750 * time.Millisecond},
		{"a proxy without a server", []answer{{status: 502, body: "<html>"}, good}, 2, false, 0, "", 125 * time.Millisecond, 250 * time.Millisecond},
		{"told when to come back", []answer{limited, good}, 2, false, 0, "", 7 * time.Second, 7 * time.Second},
		{"told to come back much later", []answer{{status: 429, retryAfter: "3600"}}, 1, true, codes.ResourceExhausted, "", 0, 0},
		{"too many, not told when", []answer{{status: 429}}, 1, true, codes.ResourceExhausted, "", 0, 0},
		{"body too large", []answer{{status: 413}}, 1, true, codes.ResourceExhausted, "", 0, 0},
		{"a fault of the server's", []answer{{status: 500}}, 1, true, codes.Unknown, "", 0, 0},
		{"not a coordinator", []answer{{status: 200, body: "<html>"}}, 1, true, codes.Internal, "", 0, 0},
		{"a redirect", []answer{{status: 302}}, 1, true, codes.Unknown, "", 0, 0},
		{"nothing there", []answer{{status: 404}}, 1, true, codes.NotFound, "", 0, 0},
		{"hangs", []answer{{hang: true}}, 1, true, codes.DeadlineExceeded, "", 30 * time.Second, 30 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: c.answers}
				begin := time.Now()
				account, err := s.client(t).Account(t.Context())
				require.Len(t, s.times, c.tries)
				require.GreaterOrEqual(t, time.Since(begin), c.least)
				require.LessOrEqual(t, time.Since(begin), c.most)
				if !c.fails {
					require.NoError(t, err)
					require.Equal(t, aitbc.Amount(aitbc.UnitsPerCoin), account.Balance)
					return
				}
				failure := requireReason(t, err, c.reason)
				require.Equal(t, c.code, failure.Code)
				require.Equal(t, c.tries, failure.Tries)
			})
		})
	}
}

func TestRetriedSubmissionKeepsItsRequestID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []answer{{status: 503}, {status: 200, body: `{"job_id":"job_01jjsbfpdr041061050r3gg28a"}`}}}
		client := s.client(t)
		_, err := client.Submit(t.Context(), question)
		require.NoError(t, err)
		require.Equal(t, "k", s.last.Header.Get("X-Api-Key"))
		require.Len(t, s.bodies, 2)
		require.JSONEq(t, s.bodies[0], s.bodies[1])
		require.Contains(t, s.bodies[0], `"request_id"`)

		_, err = client.Submit(t.Context(), question)
		require.NoError(t, err)
		require.NotEqual(t, s.bodies[0], s.bodies[2], "another call has another request id")
	})
}

func TestContextEndsTheRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []answer{{status: 429, retryAfter: "7"}}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := s.client(t).Account(ctx)
		require.Equal(t, codes.ResourceExhausted, requireReason(t, err, "").Code)
		require.Zero(t, time.Since(begin), "there is no sense in waiting for longer than the caller does")
	})
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []answer{{hang: true}}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := s.client(t).Account(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Contains(t, err.Error(), "http://coordinator.test")
	})
}

func jobIs(status string) answer {
	return answer{status: 200, body: strings.Replace(jobJSON, "STATUS", status, 1)}
}

func TestWaitAsksSeldomerAndSeldomer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		for range 30 {
			s.answers = append(s.answers, jobIs("running"))
		}
		s.answers = append(s.answers, jobIs("failed"))
		job, err := s.client(t).Wait(t.Context(), someJob)
		require.NoError(t, err, "waiting went well, whatever became of the job")
		require.Equal(t, aitbc.StatusFailed, job.Status)
		require.Equal(t, 25*time.Millisecond, s.times[1])
		for i := 2; i < len(s.times); i++ {
			require.GreaterOrEqual(t, s.times[i]-s.times[i-1], s.times[i-1]-s.times[i-2])
		}
		require.Equal(t, time.Second, s.times[30]-s.times[29])
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []answer{jobIs("pending")}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		_, err := s.client(t).Wait(ctx, someJob)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(begin))

		s = &script{answers: []answer{{status: 200, body: `{"job_id":"` + someJob.String() + `"}`}, jobIs("pending")}}
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		job, err := s.client(t).Run(ctx, question)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, someJob, job.ID, "the job goes on: its id must not be lost")
	})
}

func TestWatchGivesEachChangeOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []answer{
			jobIs("pending"), jobIs("pending"), jobIs("running"), jobIs("running"), jobIs("completed"),
		}}
		var seen []aitbc.Status
		for job, err := range s.client(t).Watch(t.Context(), someJob) {
			require.NoError(t, err)
			seen = append(seen, job.Status)
		}
		require.Equal(t, []aitbc.Status{aitbc.StatusPending, aitbc.StatusRunning, aitbc.StatusCompleted}, seen)
	})
}

func TestAnswersThatBreakTheContract(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no job id":    `{"status":"pending"}`,
		"bad job id":   `{"job_id":"job_123456","status":"pending"}`,
		"bad cost":     `{"job_id":"job_01jjsbfpdr041061050r3gg28a","cost":"-1aitbc"}`,
		"bad tx hash":  `{"job_id":"job_01jjsbfpdr041061050r3gg28a","tx_hash":"0xdef456"}`,
		"bad miner id": `{"job_id":"job_01jjsbfpdr041061050r3gg28a","miner_id":"miner_dev_key_1"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{answers: []answer{{status: 200, body: body}}}
			_, err := s.client(t).Get(t.Context(), someJob)
			require.ErrorIs(t, err, aitbc.ErrMalformed)
		})
	}
}
