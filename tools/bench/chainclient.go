package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	"github.com/cometbft/cometbft/types"
)

// connections is how many a client has to a node's JSON-RPC.
const connections = 32

// chainClient sends transactions to a node and tells when they are in a block: by the header's event, so
// that both applications are watched alike, and by the block itself, which is fetched then.
type chainClient struct {
	node *rpchttp.HTTP
	pool *http.Transport
	done context.CancelFunc
	gone chan struct{}

	mu      sync.Mutex
	waiting map[types.TxKey]chan time.Time
	err     error // why nothing is told any more
}

// dialChain waits until the node has made a block.
func dialChain(ctx context.Context, address string) (*chainClient, error) {
	c := &chainClient{
		pool: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections},
		gone: make(chan struct{}), waiting: map[types.TxKey]chan time.Time{},
	}
	var err error
	if c.node, err = rpchttp.NewWithClient("http://"+address, "/websocket", &http.Client{Transport: c.pool}); err != nil {
		return nil, err
	}
	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	height, err := c.awaitBlock(starting)
	if err != nil {
		return nil, err
	}
	if err := c.node.Start(); err != nil {
		return nil, err
	}
	watching, done := context.WithCancel(ctx)
	c.done = done
	events, err := c.node.Subscribe(watching, "bench", types.EventQueryNewBlockHeader.String(), 1_000)
	if err != nil {
		done()
		return nil, errors.Join(err, c.node.Stop())
	}
	go func() {
		defer close(c.gone)
		for {
			select {
			case event := <-events:
				header, is := event.Data.(types.EventDataNewBlockHeader)
				if at := time.Now(); is && err == nil {
					err = c.takeBlocks(watching, &height, header.Header.Height, at)
				}
			case <-watching.Done():
				c.fail(errors.Join(err, watching.Err()))
				return
			}
			if err != nil {
				c.fail(err)
				return
			}
		}
	}()
	return c, nil
}

func (c *chainClient) awaitBlock(ctx context.Context) (int64, error) {
	tick := time.NewTicker(lookAtNode) // a node that starts has no event to wait for
	defer tick.Stop()
	for {
		status, err := c.node.Status(ctx)
		if err == nil && status.SyncInfo.LatestBlockHeight > 0 {
			return status.SyncInfo.LatestBlockHeight, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("a chain did not start: %w", errors.Join(ctx.Err(), err))
		}
	}
}

// takeBlocks tells who waits of all blocks up to a height that was seen at a time.
func (c *chainClient) takeBlocks(ctx context.Context, known *int64, height int64, at time.Time) error {
	for *known < height {
		next := *known + 1
		answer, err := c.node.Block(ctx, &next)
		if err != nil {
			return fmt.Errorf("fetch block %d: %w", next, err)
		}
		*known = next
		c.mu.Lock()
		for _, tx := range answer.Block.Txs {
			if waiter, is := c.waiting[tx.Key()]; is {
				waiter <- at
				delete(c.waiting, tx.Key())
			}
		}
		c.mu.Unlock()
	}
	return nil
}

func (c *chainClient) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	for _, waiter := range c.waiting {
		close(waiter)
	}
	clear(c.waiting)
}

// send broadcasts a transaction and waits until it is in a block. took is the time from the call to
// the block's header being known.
func (c *chainClient) send(ctx context.Context, tx types.Tx) (took time.Duration, err error) {
	committed := make(chan time.Time, 1)
	c.mu.Lock()
	if err = c.err; err == nil {
		c.waiting[tx.Key()] = committed
	}
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	answer, err := c.node.BroadcastTxSync(ctx, tx)
	if err != nil {
		return 0, err
	}
	if answer.Code != 0 {
		return 0, fmt.Errorf("a transaction was refused: code %d: %s", answer.Code, answer.Log)
	}
	select {
	case at, ok := <-committed:
		if !ok {
			return 0, c.err
		}
		return at.Sub(began), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// chainID asks for the chain's id, height for its height.
func (c *chainClient) chainID(ctx context.Context) (string, error) {
	status, err := c.node.Status(ctx)
	if err != nil {
		return "", err
	}
	return status.NodeInfo.Network, nil
}

func (c *chainClient) height(ctx context.Context) (int64, error) {
	status, err := c.node.Status(ctx)
	if err != nil {
		return 0, err
	}
	return status.SyncInfo.LatestBlockHeight, nil
}

// blockBytes sums the sizes of the blocks behind one height up to another: headers, votes and transactions.
func (c *chainClient) blockBytes(ctx context.Context, after, upTo int64) (int, error) {
	sum := 0
	for high := upTo; high > after; {
		low := max(after+1, high-19) // a page of BlockchainInfo has 20
		page, err := c.node.BlockchainInfo(ctx, low, high)
		if err != nil {
			return 0, err
		}
		for _, meta := range page.BlockMetas {
			sum += meta.BlockSize
		}
		high = low - 1
	}
	return sum, nil
}

func (c *chainClient) close() error {
	c.done()
	<-c.gone
	err := c.node.Stop()
	c.pool.CloseIdleConnections()
	return err
}
