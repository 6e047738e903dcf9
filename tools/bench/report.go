package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

// figure is one line of a report, for people in a table and for programs as one JSON object.
type figure struct {
	// Part is the bench part, Name the figure's, Unit its unit.
	Part string `json:"part"`
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Ours is measured through the network, Peer through PeerName in the same run; both zero-able.
	Ours     float64 `json:"ours"`
	Peer     float64 `json:"peer"`
	PeerName string  `json:"peer_name"`
	// Ratio is Ours over Peer; 0 when there is no peer.
	Ratio float64 `json:"ratio"`
	// Runs is how many samples there are, Min and Max the extremes of ours.
	Runs int     `json:"runs"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}

// samples are durations of one kind.
type samples []time.Duration

// quantile gives the nearest-rank quantile, 0 < q <= 1, in milliseconds.
func (s samples) quantile(q float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	rank := int(math.Ceil(q * float64(len(sorted))))
	return milliseconds(sorted[max(rank, 1)-1])
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// compare makes a figure of a quantile of ours beside the same of a peer's; peer may be nil.
func compare(part, name string, q float64, ours, peer samples, peerName string) figure {
	f := figure{
		Part: part, Name: fmt.Sprintf("%s p%g", name, q*100), Unit: "ms", Ours: ours.quantile(q),
		Runs: len(ours), Min: milliseconds(slices.Min(ours)), Max: milliseconds(slices.Max(ours)),
	}
	if len(peer) > 0 {
		f.Peer, f.PeerName = peer.quantile(q), peerName
		f.Ratio = ratio(f.Ours, f.Peer)
	}
	return f
}

// spread gives the least, the median and the greatest of some values.
func spread(values []float64) (least, middle, greatest float64) {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[0], sorted[len(sorted)/2], sorted[len(sorted)-1]
}

// ratio gives a over b in hundredths; 0 when there is no b.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return math.Round(a/b*100) / 100
}

// report prints a table, then one JSON object per figure, each on a line of its own.
func report(w io.Writer, figures []figure) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "figure\tours\tpeer\tratio\tmin\tmax\truns\tunit\tpeer is\t")
	for _, f := range figures {
		peer, ratio := "-", "-"
		if f.PeerName != "" {
			peer, ratio = fmt.Sprintf("%.2f", f.Peer), fmt.Sprintf("%.2f", f.Ratio)
		}
		fmt.Fprintf(table, "%s\t%.2f\t%s\t%s\t%.2f\t%.2f\t%d\t%s\t%s\t\n", f.Name, f.Ours, peer, ratio, f.Min, f.Max, f.Runs, f.Unit, f.PeerName)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	fmt.Fprintln(w)
	lines := json.NewEncoder(w)
	for _, f := range figures {
		if err := lines.Encode(f); err != nil {
			return fmt.Errorf("print report: %w", err)
		}
	}
	return nil
}
