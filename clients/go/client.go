package aitbc

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

const (
	// maxAnswerBytes bounds what is read of one answer: a result of 1 MiB, each byte escaped in
	// JSON, and room.
	maxAnswerBytes = 16 << 20

	// Without these a gRPC connection that was refused is not tried again for a second, and all
	// retries would fall into that second.
	reconnectFirst = 100 * time.Millisecond
	reconnectMost  = 2 * time.Second

	// streamWindow and connectionWindow are how much the coordinator may send ahead, in bytes. That they are
	// fixed spares a ping and its answer at every message that comes alone, by which the library would measure
	// the way.
	streamWindow     = 512 << 10
	connectionWindow = 1 << 20

	pingInterval = 20 * time.Second
	pingTimeout  = 10 * time.Second
)

// Client calls one coordinator. It is safe for concurrent use. Close it when it is not needed any
// more.
//
// Every method waits for its answer. It tries again by itself what is safe to try again
// ([RetryPolicy]), under a deadline for each try ([WithCallTimeout]) and the context's for all.
// Errors are an [*Error] unless the method says otherwise.
type Client struct {
	jobs     coordinatorv1.JobServiceClient
	receipts coordinatorv1.ReceiptServiceClient
	network  coordinatorv1.NetworkServiceClient
	keys     coordinatorv1.KeyServiceClient
	faucet   coordinatorv1.FaucetServiceClient
	caller   *caller
	close    func() error
}

// New makes a client; it connects at the first call. The target says how to reach the coordinator:
//
//	http://127.0.0.1:18000    REST            https://...    REST over TLS
//	grpc://127.0.0.1:18002    gRPC            grpcs://...    gRPC over TLS
//	127.0.0.1:18002           gRPC, without TLS on loopback only
//
// Errors: [ErrMalformed] for a target or an option that cannot be.
func New(target string, opts ...Option) (*Client, error) {
	caller, closeConn, err := connect(target, opts)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return &Client{
		jobs:     coordinatorv1.NewJobServiceClient(caller),
		receipts: coordinatorv1.NewReceiptServiceClient(caller),
		network:  coordinatorv1.NewNetworkServiceClient(caller),
		keys:     coordinatorv1.NewKeyServiceClient(caller),
		faucet:   coordinatorv1.NewFaucetServiceClient(caller),
		caller:   caller,
		close:    closeConn,
	}, nil
}

func connect(target string, opts []Option) (*caller, func() error, error) {
	cfg := defaultConfig()
	for _, opt := range opts {
		opt(&cfg)
	}
	if err := cfg.retry.validate(); err != nil {
		return nil, nil, err
	}
	address, err := parseTarget(target)
	if err != nil {
		return nil, nil, err
	}
	conn, closeConn, err := address.open(cfg)
	if err != nil {
		return nil, nil, err
	}
	return &caller{next: conn, cfg: cfg, target: address.String(), jitter: rand.Float64}, closeConn, nil
}

// Close ends the client's connections; calls under way fail.
func (c *Client) Close() error { return c.close() }

// address is a target taken apart.
type address struct {
	scheme string // http, https, grpc or grpcs
	host   string // with port
	path   string // http and https only: what the coordinator is mounted under
}

func (a address) String() string { return a.scheme + "://" + a.host + a.path }

func parseTarget(target string) (address, error) {
	malformed := func(why string) (address, error) {
		return address{}, fmt.Errorf("target %q: %w: %s", target, ErrMalformed, why)
	}
	if !strings.Contains(target, "://") {
		host, _, err := net.SplitHostPort(target)
		if err != nil {
			return malformed("want http://, https://, grpc://, grpcs:// or host:port")
		}
		if isLoopback(host) {
			target = "grpc://" + target
		} else {
			target = "grpcs://" + target
		}
	}
	u, err := url.Parse(target)
	if err != nil {
		return malformed(err.Error())
	}
	a := address{scheme: u.Scheme, host: u.Host, path: strings.TrimSuffix(u.EscapedPath(), "/")}
	switch {
	case a.host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return malformed("want only a scheme, a host and a port")
	case a.isREST():
		return a, nil
	case a.scheme != "grpc" && a.scheme != "grpcs":
		return malformed("unknown scheme")
	case u.Port() == "" || a.path != "":
		return malformed("gRPC wants host:port")
	}
	return a, nil
}

func (a address) isREST() bool { return a.scheme == "http" || a.scheme == "https" }

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func (a address) open(cfg config) (grpc.ClientConnInterface, func() error, error) {
	if a.isREST() {
		client, closeIdle := cfg.restClient()
		return &restConn{base: a.String(), client: client, userAgent: cfg.userAgent}, closeIdle, nil
	}
	security := insecure.NewCredentials()
	if a.scheme == "grpcs" {
		security = credentials.NewTLS(cfg.tls.Clone())
	}
	reconnect := backoff.DefaultConfig
	reconnect.BaseDelay, reconnect.MaxDelay = reconnectFirst, reconnectMost
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithUserAgent(cfg.userAgent),
		grpc.WithDisableServiceConfig(), // retries are ours alone
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connectionWindow),
		// Notices, during a stream, that the other end is gone without a word.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingInterval, Timeout: pingTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: cfg.callTimeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswerBytes)),
	}
	for _, handler := range cfg.stats {
		options = append(options, grpc.WithStatsHandler(handler))
	}
	conn, err := grpc.NewClient(a.host, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("target %q: %w: %w", a, ErrMalformed, err)
	}
	return conn, conn.Close, nil
}

// restClient gives the HTTP client to use and what ends its idle connections.
func (c config) restClient() (*http.Client, func() error) {
	client := http.Client{}
	if c.httpClient != nil {
		client = *c.httpClient
	} else {
		transport := &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			TLSClientConfig:     c.tls.Clone(),
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 16,
			IdleConnTimeout:     90 * time.Second,
		}
		client.Transport = transport
	}
	if client.CheckRedirect == nil {
		// A redirect would carry the API key wherever it points.
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return &client, func() error {
		client.CloseIdleConnections()
		return nil
	}
}

// sleep waits; it gives the context's error when that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
