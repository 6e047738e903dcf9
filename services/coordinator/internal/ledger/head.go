package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	ctypes "github.com/cometbft/cometbft/rpc/core/types"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// Head is the newest block that was seen.
type Head struct {
	// ChainID is the chain.
	ChainID string
	// Height and BlockTime are the block's.
	Height    int64
	BlockTime time.Time
	// LedgerTime is the ledger's clock: what deadlines and expiries are counted in. It is up to
	// one block behind, 2 s when the chain is idle.
	LedgerTime time.Time
	// Params are the ledger's parameters; read only.
	Params *ledgerv1.Params
	// SeenAt is when it was first seen here, by the local clock.
	SeenAt time.Time
}

// ChainID gives the chain: the configured one, or the one that was met first; empty before.
func (c *Client) ChainID() string {
	if c.config.ChainID != "" {
		return c.config.ChainID
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head.ChainID
}

// Head gives the newest block, without a call. Errors: *UnavailableError when none was seen yet or
// when the newest is older than StalledAfter.
func (c *Client) Head() (Head, error) {
	head, _ := c.Watch()
	switch age := time.Since(head.SeenAt); {
	case head.Height == 0:
		return Head{}, &UnavailableError{Op: "read its clock", Cause: errors.New("no block seen yet")}
	case age > c.config.StalledAfter:
		return Head{}, &UnavailableError{
			Op:    "read its clock",
			Cause: fmt.Errorf("no new block for %s, the last is %d", age.Round(time.Second), head.Height),
		}
	}
	return head, nil
}

// Height gives the height of the newest block that any answer spoke of: that of Head, or higher when
// a transaction was seen in a block before the block itself was. Whoever keeps what the ledger said
// may use it as long as this has not changed.
func (c *Client) Height() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.height, c.head.Height)
}

func (c *Client) noteHeight(height int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.height = max(c.height, height)
}

// Watch gives the newest block, however old (zero: none yet), and a channel that is closed when a
// newer one is seen.
func (c *Client) Watch() (Head, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head, c.changed
}

// Await waits for the first block to be seen. Run must be under way. Errors: the context's.
func (c *Client) Await(ctx context.Context) (Head, error) {
	for {
		head, changed := c.Watch()
		if head.Height > 0 {
			return head, nil
		}
		select {
		case <-ctx.Done():
			return Head{}, fmt.Errorf("await the ledger: %w", ctx.Err())
		case <-changed:
		}
	}
}

// Run follows the chain until ctx ends. A ledger that is away is waited for. Errors: ErrWrongChain.
func (c *Client) Run(ctx context.Context) error {
	defer c.endpoint.Rest()
	var last error
	for ctx.Err() == nil {
		err := c.follow(ctx)
		if errors.Is(err, ErrWrongChain) {
			return err
		}
		if err != nil && last == nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "ledger does not answer", obs.KeyError, Detail(err))
		}
		if err == nil && last != nil {
			c.log.InfoContext(ctx, "ledger answers again")
		}
		last = err
		if err != nil {
			c.pause(ctx, c.config.PollEvery)
		}
	}
	return nil
}

func (c *Client) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// follow lives as long as one subscription: until it proves dead (the chain moved on and nothing
// was announced) or the node does not answer. Without a subscription it polls once.
func (c *Client) follow(ctx context.Context) error {
	events, unsubscribe, err := c.subscribe(ctx)
	if err != nil {
		if err := c.refresh(ctx); err != nil {
			return err
		}
		c.pause(ctx, c.config.PollEvery)
		return nil
	}
	defer unsubscribe()
	if err := c.refresh(ctx); err != nil { // after subscribing, so that no block falls between
		return err
	}
	silence := time.NewTimer(c.config.SilentAfter)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-events:
			drain(events)
			if err := c.refresh(ctx); err != nil {
				return err
			}
		case <-silence.C:
			before, _ := c.Watch()
			if err := c.refresh(ctx); err != nil {
				return err
			}
			now, _ := c.Watch()
			if now.Height == before.Height && c.endpoint.Move() {
				c.log.WarnContext(ctx, "ledger node makes no blocks, asking another one", obs.KeyHeight, now.Height)
				return nil
			}
			if now.Height > before.Height && len(events) == 0 {
				c.log.InfoContext(ctx, "ledger's block events stopped, subscribing again", obs.KeyHeight, now.Height)
				return nil
			}
		}
		silence.Reset(c.config.SilentAfter)
	}
}

func (c *Client) subscribe(ctx context.Context) (<-chan ctypes.ResultEvent, func(), error) {
	bounded, cancel := context.WithTimeout(ctx, c.config.CallTimeout)
	defer cancel()
	return c.endpoint.Blocks(bounded)
}

func drain(events <-chan ctypes.ResultEvent) {
	for {
		select {
		case <-events:
		default:
			return
		}
	}
}

// refresh asks for the status and publishes it when it is of a newer block. An older one comes
// from a node that lags, and is ignored: the clock never goes back.
func (c *Client) refresh(ctx context.Context) error {
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if status.GetHeight() <= c.head.Height {
		return nil
	}
	c.head = Head{
		ChainID:    status.GetChainId(),
		Height:     status.GetHeight(),
		BlockTime:  time.UnixMicro(status.GetBlockTimeUs()).UTC(),
		LedgerTime: time.UnixMicro(status.GetLedgerTimeUs()).UTC(),
		Params:     status.GetParams(),
		SeenAt:     time.Now(),
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}
