package device

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"time"
)

var errNoUse = errors.New("no card tells its use")

// Watch samples the GPUs' use until stop is called, which gives its mean from 0 to 1, and false
// when there was nothing to sample: no GPU, or a job shorter than the tool's answer.
func (p Probe) Watch(ctx context.Context) (stop func() (mean float64, ok bool)) {
	ctx, cancel := context.WithCancel(ctx)
	sampled := make(chan []float64, 1) // filled once, by the goroutine
	go func() { sampled <- p.sample(ctx) }()
	return func() (float64, bool) {
		cancel()
		samples := <-sampled
		if len(samples) == 0 {
			return 0, false
		}
		sum := 0.0
		for _, s := range samples {
			sum += s
		}
		return sum / float64(len(samples)), true
	}
}

func (p Probe) sample(ctx context.Context) []float64 {
	var samples []float64
	tick := time.NewTicker(p.Interval)
	defer tick.Stop()
	for {
		use, err := p.use(ctx)
		if err != nil {
			return samples
		}
		samples = append(samples, use)
		select {
		case <-ctx.Done():
			return samples
		case <-tick.C:
		}
	}
}

// use gives the busiest card's use: a job runs on one card, mostly.
func (p Probe) use(ctx context.Context) (float64, error) {
	rows, err := p.query(ctx, "utilization.gpu")
	if err != nil {
		return 0, err
	}
	busiest, known := 0.0, false
	for _, row := range rows {
		percent, err := strconv.ParseFloat(row[0], 64)
		if err == nil && percent >= 0 && percent <= 100 {
			busiest, known = max(busiest, percent/100), true
		}
	}
	if !known {
		return 0, errNoUse
	}
	return busiest, nil
}

// Reading is what a GPU measures of itself now; what it does not measure is nil.
type Reading struct {
	// Celsius is its temperature, Watts the power it takes, Use how busy it is, 0 to 1, and MemoryBytes
	// its memory in use.
	Celsius, Watts, Use *float64
	MemoryBytes         *int64
}

// Readings gives the GPUs' readings, in List's order. Errors: the tool's; a machine without it has none.
func (p Probe) Readings(ctx context.Context) ([]Reading, error) {
	rows, err := p.query(ctx, "temperature.gpu,power.draw,utilization.gpu,memory.used")
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read GPUs: %w", err)
	}
	readings := make([]Reading, len(rows))
	for i, row := range rows {
		r := &readings[i]
		for j, to := range []**float64{&r.Celsius, &r.Watts, &r.Use} {
			*to = number(row, j)
		}
		if r.Use != nil {
			*r.Use /= 100
		}
		if mib := number(row, 3); mib != nil {
			used := int64(*mib) * mebibyte
			r.MemoryBytes = &used
		}
	}
	return readings, nil
}

// number reads a field of a row; nil: it is not there, or "[N/A]", as of what a card does not measure.
func number(row []string, at int) *float64 {
	if at >= len(row) {
		return nil
	}
	value, err := strconv.ParseFloat(row[at], 64)
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
		return nil
	}
	return &value
}
