package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// turn is what was measured in one turn of a load.
type turn struct {
	// perSecond is transactions committed a second, jobsPerSecond settled jobs.
	perSecond, jobsPerSecond float64
	finality                 samples
	// bytes and cpu are of one job; of one transaction when the load has no jobs.
	bytes float64
	cpu   time.Duration
	split split
}

// name says what a load is like.
func (l load) name() string {
	how := "by allowance"
	if l.signed {
		how = "client-signed"
	}
	return fmt.Sprintf("%d a tx %s", l.jobs, how)
}

// figures compares a load's turns with the kvstore's between them.
func (l load) figures(ours, peer []turn) []figure {
	figures := []figure{
		median(l.name()+": transactions", "tx/s", ours, peer, func(t turn) float64 { return t.perSecond }),
		median(l.name()+": settled jobs", "1/s", ours, nil, func(t turn) float64 { return t.jobsPerSecond }),
		median(l.name()+": bytes on chain a job", "bytes", ours, nil, func(t turn) float64 { return t.bytes }),
		median(l.name()+": CPU a job, all validators", "us", ours, peer, func(t turn) float64 { return float64(t.cpu.Microseconds()) }),
	}
	// A settled job is what ours is for and a transaction is what the kvstore is for.
	for _, part := range []struct {
		name string
		of   func(split) time.Duration
	}{
		{"signatures", func(s split) time.Duration { return s.signatures }},
		{"execution", func(s split) time.Duration { return s.execution }},
		{"consensus", func(s split) time.Duration { return s.consensus }},
	} {
		figures = append(figures, median(l.name()+": CPU a job, first validator, "+part.name, "us", ours, nil,
			func(t turn) float64 { return float64(part.of(t.split).Microseconds()) }))
	}
	figures[1].against(median("", "", peer, nil, func(t turn) float64 { return t.perSecond }).Ours)
	var times, peers samples
	for i := range ours {
		times, peers = append(times, ours[i].finality...), append(peers, peer[i].finality...)
	}
	for _, q := range []float64{0.5, 0.99} {
		figures = append(figures, compare(ledgerName, l.name()+": submit to committed", q, times, peers, kvstoreName))
	}
	return figures
}

// median makes a figure of the median of turns beside the peer's; there may be none.
func median(name, unit string, ours, peer []turn, of func(turn) float64) figure {
	values := sorted(ours, of)
	f := figure{Part: ledgerName, Name: name, Unit: unit, Ours: middle(values), Runs: len(values), Min: values[0], Max: values[len(values)-1]}
	if len(peer) > 0 {
		f.against(middle(sorted(peer, of)))
	}
	return f
}

// against sets the kvstore's value beside ours.
func (f *figure) against(peer float64) {
	f.Peer, f.PeerName, f.Ratio = peer, kvstoreName, math.Round(f.Ours/peer*100)/100
}

func sorted(turns []turn, of func(turn) float64) []float64 {
	values := make([]float64, len(turns))
	for i, t := range turns {
		values[i] = of(t)
	}
	slices.Sort(values)
	return values
}

// middle gives the median of sorted values, the lower one of two.
func middle(values []float64) float64 { return values[(len(values)-1)/2] }
