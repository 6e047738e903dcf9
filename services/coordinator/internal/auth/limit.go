package auth

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/rpc"
)

// LimitConfig bounds how often one key may call.
type LimitConfig struct {
	// PerSecond is the sustained rate. Default 500; zero: no limit.
	PerSecond float64
	// Burst is how many calls may come at once, at least 1. Default 1000.
	Burst int
	// Keys is how many keys are watched, at least 1; the one longest unused is forgotten first,
	// and starts with a full burst again. Default 10,000.
	Keys int
}

// DefaultLimitConfig allows 500 calls per second and 1000 at once.
func DefaultLimitConfig() LimitConfig { return LimitConfig{PerSecond: 500, Burst: 1000, Keys: 10_000} }

// Validate reports every fault.
func (c LimitConfig) Validate() error {
	var faults []error
	if c.PerSecond < 0 {
		faults = append(faults, fmt.Errorf("rate limit %g per second: want 0 or more", c.PerSecond))
	}
	if c.Burst < 1 {
		faults = append(faults, fmt.Errorf("rate limit burst %d: want at least 1", c.Burst))
	}
	if c.Keys < 1 {
		faults = append(faults, fmt.Errorf("rate limit keys %d: want at least 1", c.Keys))
	}
	return errors.Join(faults...)
}

// Limiter gives each key a bucket of tokens. Calls without a key, which are those of open methods,
// are not limited. It is safe for concurrent use.
type Limiter struct {
	config  LimitConfig
	buckets *lru.Cache[string, *rate.Limiter]
}

var _ rpc.Limiter = (*Limiter)(nil)

// NewLimiter makes a limiter.
func NewLimiter(cfg LimitConfig) (*Limiter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	buckets, err := lru.New[string, *rate.Limiter](cfg.Keys)
	if err != nil {
		return nil, fmt.Errorf("making the table of rates: %w", err)
	}
	return &Limiter{config: cfg, buckets: buckets}, nil
}

// Allow implements rpc.Limiter. Errors: RATE_LIMITED with the time until the next token.
func (l *Limiter) Allow(ctx context.Context, _ string) error {
	principal, ok := From(ctx)
	if !ok || l.config.PerSecond == 0 {
		return nil
	}
	now := time.Now()
	bucket := l.bucket(principal.KeyID)
	reservation := bucket.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait > 0 {
		reservation.CancelAt(now)
	}
	l.show(ctx, max(0, bucket.TokensAt(now)))
	if wait == 0 {
		return nil
	}
	return apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_RATE_LIMITED,
		"more than %g calls per second with this key; come back in %s", l.config.PerSecond, wait.Round(time.Millisecond)).
		With("per_second", fmt.Sprint(l.config.PerSecond)).WithRetryAfter(wait)
}

// show tells the caller where its key stands: RateLimit-Limit calls at once, of which Remaining are left,
// and all of them again after Reset seconds.
func (l *Limiter) show(ctx context.Context, left float64) {
	reset := math.Ceil((float64(l.config.Burst) - left) / l.config.PerSecond)
	// Fails only when the header was sent already, which nobody did yet.
	_ = grpc.SetHeader(ctx, metadata.Pairs(
		"ratelimit-limit", strconv.Itoa(l.config.Burst),
		"ratelimit-remaining", strconv.Itoa(int(left)),
		"ratelimit-reset", strconv.Itoa(int(reset)),
	))
}

func (l *Limiter) bucket(keyID string) *rate.Limiter {
	if bucket, ok := l.buckets.Get(keyID); ok {
		return bucket
	}
	fresh := rate.NewLimiter(rate.Limit(l.config.PerSecond), l.config.Burst)
	if before, ok, _ := l.buckets.PeekOrAdd(keyID, fresh); ok {
		return before
	}
	return fresh
}
