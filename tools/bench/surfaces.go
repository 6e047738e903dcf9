package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/engine"
)

const (
	surfacesName = "surfaces"
	// callers call at once, and rounds times a surface is given its turn; each turn has turnCalls calls.
	callers   = 16
	rounds    = 5
	turnCalls = 2000
	question  = "Name an animal."
)

// surface is one way into the network.
type surface struct {
	name string
	// read makes one cheap call, answer gets one answer as soon as its result is durable.
	read   func(ctx context.Context) error
	answer func(ctx context.Context) error
}

// surfacesPart measures what each way in costs: calls per second of a cheap call, and the time of an
// answer, each beside native gRPC through the SDK, in turn.
func surfacesPart(ctx context.Context, o options) (_ []figure, err error) {
	served, err := engine.Start(ctx, engine.Options{Progress: os.Stderr})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, served.Stop()) }()
	n, client, stop, err := startWhole(ctx, o, served.URL())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	rest, err := aitbc.New("http://"+n.CoordinatorREST, aitbc.WithAPIKey(devKey))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rest.Close()) }()
	warm, err := client.Run(ctx, aitbc.SubmitRequest{Prompt: question, Model: engine.Tiny().Name})
	if err != nil {
		return nil, err
	}
	native, byREST := sdkSurface("gRPC", client, warm.ID), sdkSurface("REST", rest, warm.ID)
	calls, err := compareCalls(ctx, byREST, native)
	if err != nil {
		return nil, err
	}
	figures := []figure{calls}
	for _, s := range []surface{byREST, openAISurface("http://" + n.CoordinatorREST)} {
		f, err := compareAnswers(ctx, o.runs, s, native)
		if err != nil {
			return nil, err
		}
		figures = append(figures, f)
	}
	return figures, nil
}

func sdkSurface(name string, client *aitbc.Client, done aitbc.JobID) surface {
	return surface{
		name: name,
		read: func(ctx context.Context) error {
			_, err := client.Get(ctx, done)
			return err
		},
		answer: func(ctx context.Context) error {
			for event, err := range client.Stream(ctx, aitbc.SubmitRequest{Prompt: question, Model: engine.Tiny().Name}) {
				if err != nil {
					return err
				}
				if event.Job != nil && (event.Job.Phase == "settling" || event.Kind == aitbc.EventDone) {
					return event.Job.Err()
				}
			}
			return errors.New("the stream ended early")
		},
	}
}

func openAISurface(base string) surface {
	body := fmt.Appendf(nil, `{"model":%q,"prompt":%q}`, engine.Tiny().Name, question)
	return surface{name: "OpenAI", answer: func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/completions", bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+devKey)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("HTTP %s: %s", response.Status, text)
		}
		return err
	}}
}

// compareCalls gives each surface its turns and compares the calls per second of the best ones.
func compareCalls(ctx context.Context, ours, peer surface) (figure, error) {
	best := map[string]float64{}
	worst := map[string]float64{}
	for range rounds {
		for _, s := range []surface{ours, peer} {
			perSecond, err := callTurn(ctx, s)
			if err != nil {
				return figure{}, fmt.Errorf("%s: %w", s.name, err)
			}
			best[s.name] = max(best[s.name], perSecond)
			if worst[s.name] == 0 || perSecond < worst[s.name] {
				worst[s.name] = perSecond
			}
		}
	}
	return figure{
		Part: surfacesName, Name: ours.name + " calls", Unit: "calls/s", Ours: best[ours.name], Peer: best[peer.name], PeerName: peer.name,
		Ratio: best[ours.name] / best[peer.name], Runs: rounds, Min: worst[ours.name], Max: best[ours.name],
	}, nil
}

func callTurn(ctx context.Context, s surface) (perSecond float64, err error) {
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range callers {
		group.Go(func() error {
			for range turnCalls / callers {
				if err := s.read(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return turnCalls / time.Since(began).Seconds(), err
}

// compareAnswers compares the times of answers, one after the other and in turn.
func compareAnswers(ctx context.Context, runs int, ours, peer surface) (figure, error) {
	var times, peers samples
	for range runs {
		for _, turn := range []struct {
			surface
			into *samples
		}{{ours, &times}, {peer, &peers}} {
			began := time.Now()
			if err := turn.answer(ctx); err != nil {
				return figure{}, fmt.Errorf("%s: %w", turn.name, err)
			}
			*turn.into = append(*turn.into, time.Since(began))
		}
	}
	return compare(surfacesName, ours.name+" answer", 0.5, times, peers, peer.name), nil
}
