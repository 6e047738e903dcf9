package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aitbc/aitbc/tools/chaos/checker"
	"github.com/aitbc/aitbc/tools/internal/fakeengine"
)

const (
	callTimeout = 10 * time.Second
	retryPause  = 100 * time.Millisecond
	// settlePatience is how long jobs may take to end once nothing is broken any more: a lost lease
	// waits half a minute for its miner, a queue a minute.
	settlePatience = 3 * time.Minute
)

// call makes one call to a coordinator: to each in turn.
func (w *world) call(ctx context.Context, verb, path string, body any, requestID string) ([]byte, error) {
	return w.callAt(ctx, w.rests[int(w.turn.Add(1))%len(w.rests)], verb, path, body, requestID)
}

func (w *world) callAt(ctx context.Context, rest, verb, path string, body any, requestID string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", verb, path, err)
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, verb, "http://"+rest+path, reader)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", verb, path, err)
	}
	request.Header.Set("X-Api-Key", w.key)
	if requestID != "" {
		request.Header.Set("Idempotency-Key", requestID)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", verb, path, err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", answer.StatusCode, said)
	}
	if err != nil {
		return said, fmt.Errorf("%s %s: %w", verb, path, err)
	}
	return said, nil
}

func fieldOf(text []byte, name string) (string, error) {
	var values map[string]any
	if err := json.Unmarshal(text, &values); err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	value, ok := values[name].(string)
	if !ok {
		return "", fmt.Errorf("no %s in %s", name, text)
	}
	return value, nil
}

// load submits jobs through whatever breaks and remembers what it was told.
type load struct {
	w   *world
	run string
	// plain: all requests are. Set before the first.
	plain bool

	mu     sync.Mutex
	rand   *rand.Rand
	number int
	claims []checker.Claim
}

func newLoad(w *world, seed uint64) *load {
	return &load{w: w, run: fmt.Sprintf("chaos-%d", seed), rand: rand.New(rand.NewPCG(seed, 7))}
}

// request is what is sent, and what is known of it.
type request struct {
	body map[string]any
	// cancelled: it is cancelled as soon as it is there; again: it is sent twice.
	cancelled, again bool
	claim            checker.Claim
}

// draw makes up the next request. A plain one fails nowhere: one that does would wait for another miner,
// for as long as its queue timeout.
func (l *load) draw(plain bool) request {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number++
	prompt, ends := fmt.Sprintf("say %d", l.number), "completed"
	switch dice := l.rand.IntN(100); {
	case plain || l.plain:
	case dice < 3:
		prompt, ends = prompt+" fail", "failed"
	case dice < 5:
		prompt, ends = prompt+" cut", "failed"
	}
	r := request{
		body: map[string]any{
			"type": "inference", "model": fakeengine.Model, "prompt": prompt, "max_price": "0.05aitbc",
			"timeouts": map[string]any{"queue": "60s", "total": "180s"},
		},
		cancelled: l.rand.IntN(100) < 8, again: l.rand.IntN(100) < 10,
		claim: checker.Claim{RequestID: fmt.Sprintf("%s-%d", l.run, l.number), Want: strings.ToUpper(prompt), Ends: ends},
	}
	if r.cancelled { // whether that comes in time is open
		r.claim.Ends = ""
	}
	return r
}

// submitAt sends one job to one coordinator until it is acknowledged.
func (l *load) submitAt(ctx context.Context, rest string) (id string, err error) {
	r := l.draw(true)
	said, err := until(ctx, func() ([]byte, error) {
		return l.w.callAt(ctx, rest, http.MethodPost, "/v1/jobs", r.body, r.claim.RequestID)
	})
	if err != nil {
		return "", err
	}
	if r.claim.JobID, err = fieldOf(said, "job_id"); err == nil {
		l.keep(r.claim)
	}
	return r.claim.JobID, err
}

// submit sends one job until it is acknowledged.
func (l *load) submit(ctx context.Context) (err error) {
	r := l.draw(false)
	if r.claim.JobID, err = l.acknowledged(ctx, r.claim.RequestID, r.body); err != nil {
		return err
	}
	if r.cancelled { // the answer is open too
		_, _ = l.w.call(ctx, http.MethodPost, "/v1/jobs/"+r.claim.JobID+":cancel", map[string]any{}, "")
	}
	if r.again {
		if r.claim.Again, err = l.acknowledged(ctx, r.claim.RequestID, r.body); err != nil {
			return err
		}
	}
	l.keep(r.claim)
	return nil
}

func (l *load) keep(c checker.Claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claims = append(l.claims, c)
}

func (l *load) acknowledged(ctx context.Context, requestID string, body map[string]any) (string, error) {
	said, err := until(ctx, func() ([]byte, error) { return l.w.call(ctx, http.MethodPost, "/v1/jobs", body, requestID) })
	if err != nil {
		return "", err
	}
	return fieldOf(said, "job_id")
}

// until makes a call until it succeeds.
func until(ctx context.Context, call func() ([]byte, error)) ([]byte, error) {
	for {
		said, err := call()
		if err == nil {
			return said, nil
		}
		if paused := pause(ctx, retryPause); paused != nil {
			return nil, errors.Join(paused, err)
		}
	}
}

// many submits n jobs, some at once.
func (l *load) many(ctx context.Context, n, atOnce int) error {
	slots := make(chan struct{}, atOnce)
	var group sync.WaitGroup
	var mu sync.Mutex
	var faults error
	for range n {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if err := l.submit(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				faults = errors.Join(faults, err)
			}
		})
	}
	group.Wait()
	return faults
}

// paced submits n jobs at a rate per second, as far as they are acknowledged in time.
func (l *load) paced(ctx context.Context, n int, rate float64) error {
	const most = 64 // submissions that wait for their acknowledgement
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	turns := make(chan struct{})
	go func() {
		defer close(turns)
		for range n {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			turns <- struct{}{}
		}
	}()
	var group sync.WaitGroup
	faults := make([]error, most)
	for i := range most {
		group.Go(func() {
			for range turns {
				faults[i] = errors.Join(faults[i], l.submit(ctx))
			}
		})
	}
	group.Wait()
	return errors.Join(faults...)
}

func (l *load) told() []checker.Claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]checker.Claim(nil), l.claims...)
}

// settle waits until no job is live; what is live after all is the checker's to say.
func (w *world) settle(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		live := 0
		for _, status := range []string{"pending", "running"} {
			said, err := w.call(ctx, http.MethodGet, "/v1/jobs?page_size=1&status="+status, nil, "")
			var page struct{ Jobs []json.RawMessage }
			if err == nil {
				err = json.Unmarshal(said, &page)
			}
			if err != nil {
				live++
			}
			live += len(page.Jobs)
		}
		if live == 0 || ctx.Err() != nil {
			return nil // patience has ended
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * look):
		}
	}
}
