package ledger

import (
	"fmt"
	"net/http"
	"time"

	"github.com/aitbc/aitbc/services/ledger/internal/app"
)

// missedHeartbeats is how many a chain may miss before it counts as standing still.
const missedHeartbeats = 5

// health answers /healthz: 200 while blocks are made, 503 when the chain stands still. Only the last
// block's age tells: a node whose chain stands still has a height and takes transactions.
type health struct {
	app       *app.App
	heartbeat time.Duration
	now       func() time.Time
}

// ServeHTTP implements http.Handler.
func (h health) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	st := h.app.State()
	if st == nil {
		http.Error(w, "the node has no state yet", http.StatusServiceUnavailable)
		return
	}
	age := h.now().Sub(st.BlockTime()).Round(time.Millisecond)
	if age > missedHeartbeats*h.heartbeat {
		http.Error(w, fmt.Sprintf("the chain stands still: block %d is %s old", st.Height(), age), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(w, "ok: block %d is %s old\n", st.Height(), age)
}
