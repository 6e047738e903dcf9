package stream

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// Config bounds what watching costs. Begin with DefaultConfig.
type Config struct {
	// MaxText is the most text that is kept of one attempt, in bytes: the contract's limit of a
	// result.
	MaxText int
	// MaxBytes is the most text that is kept of all running attempts together. Beyond it watchers
	// of further ones get their text with the result.
	MaxBytes int64
	// PerJob and PerKey are how many watchers a job and an API key may have.
	PerJob, PerKey int
}

// DefaultConfig keeps 1 MiB of an attempt and 256 MiB in all, for 64 watchers a job and 256 a key.
func DefaultConfig() Config {
	return Config{MaxText: 1 << 20, MaxBytes: 256 << 20, PerJob: 64, PerKey: 256}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if c.MaxText < 1 || c.MaxBytes < 1 {
		faults = append(faults, fmt.Errorf("stream text %d of one attempt, %d of all: want at least 1", c.MaxText, c.MaxBytes))
	}
	if c.PerJob < 1 || c.PerKey < 1 {
		faults = append(faults, fmt.Errorf("watchers %d a job, %d a key: want at least 1", c.PerJob, c.PerKey))
	}
	return errors.Join(faults...)
}

// Hub makes topics and holds them to their common bounds. It is safe for concurrent use.
type Hub struct {
	config Config
	bytes  atomic.Int64

	mu     sync.Mutex // taken after a topic's
	perKey map[string]int
	all    int
}

// NewHub makes a hub.
func NewHub(config Config) *Hub { return &Hub{config: config, perKey: make(map[string]int)} }

// Topic makes the topic of a job.
func (h *Hub) Topic(j job.Job) *Topic { return &Topic{hub: h, job: j, attempt: j.Attempt, edition: 1} }

// Watchers counts all there are.
func (h *Hub) Watchers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all
}

func (h *Hub) enter(key string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.perKey[key] >= h.config.PerKey {
		return &tooManyError{of: "this key", limit: h.config.PerKey}
	}
	h.perKey[key]++
	h.all++
	return nil
}

func (h *Hub) leave(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all--
	if h.perKey[key]--; h.perKey[key] == 0 {
		delete(h.perKey, key)
	}
}

// tooManyError is a refusal that passes.
type tooManyError struct {
	of    string
	limit int
}

// Error says so.
func (e *tooManyError) Error() string {
	return fmt.Sprintf("%s has %d watchers, which is the most", e.of, e.limit)
}

// Reason gives the class.
func (*tooManyError) Reason() coordinatorv1.ErrorReason {
	return coordinatorv1.ErrorReason_ERROR_REASON_RATE_LIMITED
}

// RetryAfter gives when to come back.
func (*tooManyError) RetryAfter() time.Duration { return time.Second }
