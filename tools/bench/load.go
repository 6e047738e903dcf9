package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/devnet/network"
	"github.com/aitbc/aitbc/tools/internal/fakeengine"
)

// bed is a network in front of an engine that computes nothing, so that what is measured is ours.
type bed struct {
	*network.Network
	client *aitbc.Client
	engine *httptest.Server
	state  string
}

// startBed starts a network with one miner of so many slots.
func startBed(ctx context.Context, o options, engine *fakeengine.Engine, slots int, args ...string) (_ *bed, err error) {
	b := &bed{engine: httptest.NewServer(engine)}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.stop())
		}
	}()
	if b.state, err = os.MkdirTemp("", "aitbc-bench-"); err != nil {
		return nil, err
	}
	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	b.Network, err = network.Start(starting, network.Options{
		Program: filepath.Join(o.bin, "aitbcd"), State: b.state, EngineURL: b.engine.URL,
		Args: append([]string{
			"--rate-limit", "0", "--max-jobs", "0", "--slots", strconv.Itoa(slots), "--log-dir", filepath.Join(b.state, "log"), "--log-level", "warn",
		}, args...),
	})
	if err != nil {
		return nil, err
	}
	b.client, err = aitbc.New(b.CoordinatorGRPC, aitbc.WithAPIKey(devKey))
	return b, err
}

func (b *bed) stop() error {
	var faults []error
	if b.client != nil {
		faults = append(faults, b.client.Close())
	}
	if b.Network != nil {
		faults = append(faults, b.Stop())
	}
	b.engine.CloseClientConnections()
	b.engine.Close()
	return errors.Join(append(faults, os.RemoveAll(b.state))...)
}

// request is a job of so small a price that the client's money lasts for thousands, and yet a second of compute.
func (b *bed) request(prompt string) aitbc.SubmitRequest {
	return aitbc.SubmitRequest{Prompt: prompt, Model: fakeengine.Model, MaxPrice: aitbc.UnitsPerCoin / 50}
}

// submitAll submits n jobs, so many at once.
func (b *bed) submitAll(ctx context.Context, n, limit int, prompt string) error {
	return atOnce(ctx, n, limit, func(ctx context.Context) error {
		_, err := b.client.Submit(ctx, b.request(prompt))
		return err
	})
}

// atOnce calls do n times, limit at once.
func atOnce(ctx context.Context, n, limit int, do func(ctx context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(limit)
	for range n {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(ctx) })
	}
	return group.Wait()
}

// text gives so many bytes of text that is the same every time.
func text(size int) string { return strings.Repeat("word ", size/5+1)[:size] }

// pending gives how many jobs wait for their escrow or for a miner.
func (b *bed) pending(ctx context.Context) (int, error) {
	return metric(ctx, b.CoordinatorMetrics, `aitbc_jobs{status="pending"}`)
}

// metric reads a whole number from where a process shows its metrics.
func metric(ctx context.Context, address, name string) (int, error) {
	text, err := fetch(ctx, "http://"+address+"/metrics")
	if err != nil {
		return 0, err
	}
	return gaugeIn(text, name)
}

// gaugeIn reads a whole number out of a page of metrics.
func gaugeIn(page, name string) (int, error) {
	for line := range strings.Lines(page) {
		if value, is := strings.CutPrefix(line, name+" "); is {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return int(n), err
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

func fetch(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var text strings.Builder
	_, err = io.Copy(&text, answer.Body)
	return text.String(), err
}

// openLoop calls do at a rate, whether earlier calls have ended or not, and waits for all.
func openLoop(ctx context.Context, n int, rate float64, do func(ctx context.Context, i int) error) error {
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	var group sync.WaitGroup
	faults := make([]error, n)
	for i := range n {
		group.Go(func() { faults[i] = do(ctx, i) })
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	group.Wait()
	return errors.Join(faults...)
}
