package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

const (
	defaultInterval = 2 * time.Second
	// homeAndClear puts the cursor into the corner and clears what is below it.
	homeAndClear = "\x1b[H\x1b[2J"
)

// watchable makes a command that asks once, or with --watch again and again until it is interrupted or
// its --timeout is over: a terminal shows the latest answer, anything else gets them one after the other.
func (a *app) watchable(cmd *cobra.Command, ask func(ctx context.Context, client *aitbc.Client, args []string) error) {
	var watch bool
	var interval time.Duration
	flags := cmd.Flags()
	flags.BoolVar(&watch, "watch", false, "ask again and again; with -o jsonl each answer is a line or more of its own")
	flags.DurationVar(&interval, "interval", defaultInterval, "how often --watch asks")
	cmd.RunE = a.action(func(ctx context.Context, client *aitbc.Client, args []string) error {
		if !watch {
			return ask(ctx, client, args)
		}
		if interval <= 0 {
			return usageError{fmt.Errorf("--interval is %s, want more than 0s", interval)}
		}
		return a.again(ctx, interval, func(ctx context.Context) error { return ask(ctx, client, args) })
	})
}

// again shows answers until ctx ends, which is no error, or one cannot be had.
func (a *app) again(ctx context.Context, interval time.Duration, show func(context.Context) error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		err := a.redraw(func() error { return show(ctx) })
		if ctx.Err() != nil {
			return nil // whoever watches ends it so
		}
		if err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// redraw shows one answer; on a terminal it takes the place of the last in one write, so that nothing
// flickers.
func (a *app) redraw(show func() error) error {
	if !a.outTTY || a.forPrograms() {
		return show()
	}
	screen := a.out
	var next bytes.Buffer
	next.WriteString(homeAndClear)
	a.out = &next
	err := show()
	a.out = screen
	_, writeErr := io.Copy(screen, &next)
	return errors.Join(err, writeErr)
}
