package ledger

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	cmtbytes "github.com/cometbft/cometbft/libs/bytes"
	rpcclient "github.com/cometbft/cometbft/rpc/client"
	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	"github.com/cometbft/cometbft/types"
)

// Endpoint is a way to reach the ledger: one node or several behind one face. Its methods are safe
// for concurrent use.
type Endpoint interface {
	// ABCIQuery asks the application.
	ABCIQuery(ctx context.Context, path string, data cmtbytes.HexBytes) (*ctypes.ResultABCIQuery, error)
	// BroadcastTxSync hands a transaction to the mempool and gives the application's check of it.
	BroadcastTxSync(ctx context.Context, tx types.Tx) (*ctypes.ResultBroadcastTx, error)
	// Blocks subscribes to new blocks: each is an event, in no way complete (events are dropped
	// under load) and with no promise to go on after an outage. close ends the subscription and
	// must be called; the channel is never closed.
	Blocks(ctx context.Context) (events <-chan ctypes.ResultEvent, close func(), err error)
	// Rest closes connections that are not in use. The endpoint stays usable.
	Rest()
	// Move gives up the node that is called, because it makes no progress, for another one; false:
	// there is no other.
	Move() bool
}

// eventBuffer is how many block events may wait; more are dropped, which costs nothing but a line
// in CometBFT's log.
const eventBuffer = 256

// blockQuery selects headers, because whole blocks may be megabytes.
var blockQuery = types.EventQueryNewBlockHeader.String()

// httpEndpoint is one node by its JSON-RPC address.
type httpEndpoint struct {
	rpcclient.ABCIClient
	remote string
	client *http.Client
}

// idleTimeout is how long an idle connection is kept: less than the 10 s after which CometBFT's
// server closes one, so that a call does not meet a connection that is just being closed.
const idleTimeout = 5 * time.Second

// DialHTTP gives the endpoint of a node's JSON-RPC address, such as "http://127.0.0.1:26657". It
// connects when it is first used.
func DialHTTP(address string) (Endpoint, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("ledger address %q: %w", address, err)
	}
	switch u.Scheme {
	case "http", "https", "tcp":
	default:
		return nil, fmt.Errorf("ledger address %q: want http://host:port", address)
	}
	// CometBFT's own default client keeps two idle connections, too few for calls in parallel.
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConns: 64, MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64, IdleConnTimeout: idleTimeout,
	}}
	node, err := rpchttp.NewWithClient(httpAddress(u), "/websocket", client)
	if err != nil {
		return nil, fmt.Errorf("ledger address %q: %w", address, err)
	}
	return &httpEndpoint{ABCIClient: node, remote: httpAddress(u), client: client}, nil
}

// httpAddress writes tcp:// as what it is: only the client's own transport could dial it.
func httpAddress(u *url.URL) string {
	out := *u
	if out.Scheme == "tcp" {
		out.Scheme = "http"
	}
	return out.String()
}

// Rest closes idle connections: a server that shuts down waits seconds for one that was dialled and
// never used.
func (e *httpEndpoint) Rest() { e.client.CloseIdleConnections() }

// Move does nothing: there is one node.
func (*httpEndpoint) Move() bool { return false }

// Blocks opens a websocket of its own for each subscription: CometBFT's client gives up for good
// after some reconnects, and a new one has no past.
func (e *httpEndpoint) Blocks(ctx context.Context) (<-chan ctypes.ResultEvent, func(), error) {
	node, err := rpchttp.NewWithClient(e.remote, "/websocket", e.client)
	if err != nil {
		return nil, nil, fmt.Errorf("subscribe to blocks: %w", err)
	}
	if err := node.Start(); err != nil {
		return nil, nil, fmt.Errorf("subscribe to blocks: %w", err)
	}
	stop := func() { _ = node.Stop() } // fails only when it has stopped already
	events, err := node.Subscribe(ctx, "", blockQuery, eventBuffer)
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("subscribe to blocks: %w", err)
	}
	return events, stop, nil
}

// inProcess is a node in this process.
type inProcess struct {
	rpcclient.ABCIClient
	events     rpcclient.EventsClient
	subscriber string
}

// InProcess gives the endpoint of a node in this process (CometBFT's rpc/client/local). Its calls
// cannot be cut short by a deadline: they take as long as the node's own locks. The subscriber
// names this user of the node and must be the only one of its name.
func InProcess(node rpcclient.Client, subscriber string) Endpoint {
	return &inProcess{ABCIClient: node, events: node, subscriber: subscriber}
}

// Rest does nothing: there are no connections.
func (*inProcess) Rest() {}

// Move does nothing: there is one node.
func (*inProcess) Move() bool { return false }

// Blocks subscribes at the node's event bus.
func (e *inProcess) Blocks(ctx context.Context) (<-chan ctypes.ResultEvent, func(), error) {
	events, err := e.events.Subscribe(ctx, e.subscriber, blockQuery, eventBuffer)
	if err != nil {
		return nil, nil, fmt.Errorf("subscribe to blocks: %w", err)
	}
	stop := func() {
		// The subscription ends with its owner, whose own context may be over by then.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		defer cancel()
		_ = e.events.Unsubscribe(ctx, e.subscriber, blockQuery) // fails only when there is none
	}
	return events, stop, nil
}
