package node

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
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
			log := cometLog{logger: slog.New(slog.NewTextHandler(out, nil)), stopping: &atomic.Bool{}}
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
