package aitbc

import (
	"crypto/ed25519"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc/stats"
)

// Option changes how a [Client] works.
type Option func(*config)

type config struct {
	apiKey      string
	orderKey    ed25519.PrivateKey
	retry       RetryPolicy
	callTimeout time.Duration
	httpClient  *http.Client
	tls         *tls.Config
	userAgent   string
	observers   []Observer
	stats       []stats.Handler
}

func defaultConfig() config {
	return config{
		retry:       DefaultRetryPolicy(),
		callTimeout: 30 * time.Second,
		tls:         &tls.Config{MinVersion: tls.VersionTLS12},
		userAgent:   "aitbc-go/1",
	}
}

// WithAPIKey sends this key with every call.
func WithAPIKey(key string) Option { return func(c *config) { c.apiKey = key } }

// WithRetry replaces the [DefaultRetryPolicy].
func WithRetry(policy RetryPolicy) Option { return func(c *config) { c.retry = policy } }

// WithCallTimeout bounds each try of each call. Default 30 s; zero or less: the context alone does.
func WithCallTimeout(d time.Duration) Option { return func(c *config) { c.callTimeout = d } }

// WithHTTPClient sets what sends the requests of http:// and https:// targets. It is copied; unless
// it says otherwise, redirects are not followed.
func WithHTTPClient(client *http.Client) Option { return func(c *config) { c.httpClient = client } }

// WithTLS sets certificates and the like for https:// and grpcs:// targets. Default: the system's
// roots and TLS 1.2 or later. It does not reach a client of [WithHTTPClient].
func WithTLS(settings *tls.Config) Option { return func(c *config) { c.tls = settings } }

// WithUserAgent names the program in the coordinator's logs.
func WithUserAgent(name string) Option { return func(c *config) { c.userAgent = name } }

// RetryPolicy says how often and when a call is tried again. Only these failures are: no
// connection, UNAVAILABLE (HTTP 502, 503, 504), and RESOURCE_EXHAUSTED (HTTP 429) when the
// coordinator says when to come back. All calls of this package may be repeated: a submission
// carries a request id.
type RetryPolicy struct {
	// MaxRetries is how often after the first try; 0: never.
	MaxRetries int
	// FirstDelay is the pause before the first retry; it doubles for each further one. The pause is
	// shortened by up to half at random, so that clients do not come back all at once.
	FirstDelay time.Duration
	// MaxDelay is the longest pause. A coordinator that asks for a longer one ends the call.
	MaxDelay time.Duration
}

// DefaultRetryPolicy gives 3 retries after at most 250 ms, 500 ms and 1 s.
func DefaultRetryPolicy() RetryPolicy {
	return RetryPolicy{MaxRetries: 3, FirstDelay: 250 * time.Millisecond, MaxDelay: 30 * time.Second}
}

func (p RetryPolicy) validate() error {
	if p.MaxRetries < 0 || p.FirstDelay < 0 || p.MaxDelay < 0 {
		return fmt.Errorf("retry policy %+v: %w: negative", p, ErrMalformed)
	}
	return nil
}

// pause gives how long to wait after this try (counted from 1), and false when there is nothing to
// wait for. The random number is in [0, 1).
func (p RetryPolicy) pause(try int, failure *Error, random float64) (time.Duration, bool) {
	if try > p.MaxRetries || !failure.retryable() || failure.RetryAfter > p.MaxDelay {
		return 0, false
	}
	return max(p.delay(try, random), failure.RetryAfter), true
}

// delay gives the pause after this try.
func (p RetryPolicy) delay(try int, random float64) time.Duration {
	delay := p.MaxDelay
	if shifted := p.FirstDelay << (try - 1); try < 32 && shifted>>(try-1) == p.FirstDelay {
		delay = min(shifted, p.MaxDelay)
	}
	return delay - time.Duration(random*float64(delay)/2)
}
