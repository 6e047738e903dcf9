package node

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cometbft/cometbft/libs/service"
	"github.com/stretchr/testify/require"
)

func TestErrorsThatAHumanNeedNotSee(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err      error
		stopping bool
		want     string
	}{
		"a connection that was stopped twice":    {err: service.ErrAlreadyStopped},
		"any other":                              {err: errors.New("no room on disk"), want: "level=ERROR"},
		"any other, while we close what is open": {err: errors.New("accept: closed"), stopping: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := &strings.Builder{}
			log := newCometLog(slog.New(slog.NewTextHandler(out, nil)))
			log.stopping.Store(test.stopping)
			log.With("module", "rpc-server").Error("error while stopping connection", "error", test.err)
			if test.want == "" {
				require.Empty(t, out.String())
				return
			}
			require.Contains(t, out.String(), test.want)
		})
	}
}

func TestAJoinThatFailedIsHeardOf(t *testing.T) {
	t.Parallel()
	log := newCometLog(slog.New(slog.DiscardHandler))
	log.Error("Stopping peer for error", "err", "EOF")
	require.Empty(t, log.stranded)
	for range 2 {
		log.With("module", "statesync").Error("State sync failed", "err", errors.New("no witnesses connected"))
	}
	require.ErrorContains(t, <-log.stranded, "no witnesses connected")
	require.Empty(t, log.stranded)
}

// The library's sentences are all there is to know it by.
func TestTheLibrarySaysSo(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cometbft/cometbft")
	folder, err := list.Output()
	require.NoError(t, err)
	setup, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(folder)), "node", "setup.go"))
	require.NoError(t, err)
	for sentence := range strandings {
		require.Contains(t, string(setup), `logger.Error("`+sentence+`"`)
	}
}
