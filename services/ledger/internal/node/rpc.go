package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	cmtpubsub "github.com/cometbft/cometbft/libs/pubsub"
	"github.com/cometbft/cometbft/node"
	rpcserver "github.com/cometbft/cometbft/rpc/jsonrpc/server"
	"golang.org/x/net/netutil"

	"github.com/aitbc/aitbc/services/internal/run"
)

// newRPC serves CometBFT's JSON-RPC on our listener. CometBFT would do it too, but can not say which
// port it got, and cuts idle connections off after ten seconds, in the middle of a client's next
// call at times.
func newRPC(ctx context.Context, n *node.Node, listener net.Listener, logger cometLog) (*run.HTTP, error) {
	env, err := n.ConfigureRPC()
	if err != nil {
		return nil, fmt.Errorf("serve JSON-RPC: %w", err)
	}
	routes := env.GetRoutes()
	sockets := rpcserver.NewWebsocketManager(routes,
		rpcserver.OnDisconnect(func(remote string) {
			err := n.EventBus().UnsubscribeAll(context.WithoutCancel(ctx), remote)
			if err != nil && !errors.Is(err, cmtpubsub.ErrSubscriptionNotFound) {
				logger.Error("unsubscribe a closed websocket", "remote", remote, "err", err)
			}
		}),
		rpcserver.ReadLimit(maxRPCBody),
		rpcserver.WriteChanCapacity(n.Config().RPC.WebSocketWriteBufferSize),
	)
	sockets.SetLogger(logger)
	mux := http.NewServeMux()
	mux.HandleFunc("/websocket", sockets.WebsocketHandler)
	rpcserver.RegisterRPCFuncs(mux, routes, logger)
	handler := rpcserver.RecoverAndLogHandler(http.MaxBytesHandler(mux, maxRPCBody), logger)
	return run.NewHTTP(netutil.LimitListener(listener, maxRPCConnections), handler), nil
}
