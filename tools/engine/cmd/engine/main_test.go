package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/tinymodel/model"
)

func TestCheckShowsTheAnswer(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, run(t.Context(), []string{"check", "--own"}, &out, io.Discard))
	require.Contains(t, out.String(), model.Question+"\n"+model.Answer+"\n")
}

func TestEnsureIsQuickOnceThereIsABinary(t *testing.T) {
	t.Parallel()
	var first, second strings.Builder
	require.NoError(t, run(t.Context(), []string{"ensure"}, &first, io.Discard))
	require.FileExists(t, strings.TrimSpace(first.String()))
	require.NoError(t, run(t.Context(), []string{"ensure"}, &second, io.Discard))
	require.Equal(t, first.String(), second.String())
}

func TestServeStaysUntilItIsToldToStop(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"serve", "--own", "--addr", "127.0.0.1:0"}, in, io.Discard)
		ended <- err
		in.CloseWithError(err)
	}()
	url, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	get := func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSpace(url)+"/api/version", nil)
		require.NoError(t, err)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}
	require.NoError(t, get())
	cancel()
	require.NoError(t, <-ended)
	require.Error(t, get())
}

func TestWrongUsageIsExplained(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"nonsense"}, {"serve", "--nonsense"}, {"ensure", "extra"}} {
		require.ErrorIs(t, run(t.Context(), args, io.Discard, io.Discard), errUsage, args)
	}
}
