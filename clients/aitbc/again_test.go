package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestATerminalIsDrawnAnew(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	a := newApp(streams{out: &screen, err: &screen, getenv: func(string) string { return "" }})
	a.outTTY = true
	ctx, cancel := context.WithCancel(t.Context())
	times := 0
	show := func(context.Context) error {
		if times++; times == 3 {
			cancel()
		}
		return a.print(nil, func(p *printer) { p.line("answer %d", times) })
	}
	require.NoError(t, a.again(ctx, time.Millisecond, show))
	require.Equal(t, homeAndClear+"answer 1\n"+homeAndClear+"answer 2\n"+homeAndClear+"answer 3\n", screen.String())

	screen.Reset()
	fault := errors.New("no answer")
	require.ErrorIs(t, a.again(t.Context(), time.Millisecond, func(context.Context) error { return fault }), fault)
}
