package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	ledgerName  = "ledger"
	kvstoreName = "CometBFT's kvstore"
)

// load is one kind of turn: how a chain is loaded.
type load struct {
	// jobs is how many are in a transaction; 0: the kvstore's pairs, one each.
	jobs int
	// signed says that orders are signed by the client, instead of by its allowance.
	signed bool
	// works is how many a turn has, window how many of them are under way at once.
	works, window int
}

// kvstoreLoad is the peer's turn.
var kvstoreLoad = load{works: 8_000, window: 2_000}

// loads are ours: both ways to authorise an order, at each number of jobs in a transaction.
func loads() []load {
	var all []load
	for _, signed := range []bool{false, true} {
		all = append(all,
			load{jobs: 1, works: 3_000, window: 2_000, signed: signed},
			load{jobs: 10, works: 600, window: 300, signed: signed},
			load{jobs: 100, works: 80, window: 40, signed: signed},
			load{jobs: 500, works: 16, window: 8, signed: signed})
	}
	return all
}

// ledgerPart loads our ledger and CometBFT's kvstore in turn, on chains of the same configuration, and
// then grows a ledger's state without a chain.
func ledgerPart(ctx context.Context, o options) (_ []figure, err error) {
	var forget func() error
	if o.kvpeer, forget, err = buildPeer(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, forget()) }()
	var figures []figure
	for text := range strings.SplitSeq(o.validators, ",") {
		validators, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("-validators: want numbers with commas between, not %q", o.validators)
		}
		more, err := compareChains(ctx, o, validators)
		if err != nil {
			return nil, fmt.Errorf("%d validators: %w", validators, err)
		}
		figures = append(figures, more...)
	}
	grown, err := liveKeys(ctx, o.keys)
	return append(figures, grown...), err
}

// compareChains measures both chains at so many validators.
func compareChains(ctx context.Context, o options, validators int) (_ []figure, err error) {
	ours, err := startChain(ctx, o, validators, ledgerNode)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	peer, err := startChain(ctx, o, validators, kvstoreNode)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, peer.stop()) }()
	papers, err := newPapers(ctx, ours)
	if err != nil {
		return nil, err
	}
	lone, err := compareLone(ctx, o.runs, ours, peer, papers)
	if err != nil {
		return nil, err
	}
	all := loads()
	turns, peers := make([][]turn, len(all)), make([][]turn, len(all))
	for range o.turns {
		for i, l := range all {
			t, err := takeTurn(ctx, peer, kvstoreLoad, papers)
			if err != nil {
				return nil, fmt.Errorf("kvstore: %w", err)
			}
			peers[i] = append(peers[i], t)
			if t, err = takeTurn(ctx, ours, l, papers); err != nil {
				return nil, fmt.Errorf("%s: %w", l.name(), err)
			}
			turns[i] = append(turns[i], t)
		}
	}
	figures := within(validators, lone)
	for i, l := range all {
		figures = append(figures, within(validators, l.figures(turns[i], peers[i]))...)
	}
	return figures, nil
}

// within names the number of validators in figures.
func within(validators int, figures []figure) []figure {
	for i := range figures {
		figures[i].Name = fmt.Sprintf("%d validators, %s", validators, figures[i].Name)
		if validators == 1 {
			figures[i].Name = strings.Replace(figures[i].Name, "validators", "validator", 1)
		}
	}
	return figures
}

// compareLone sends single transactions through idle chains.
func compareLone(ctx context.Context, runs int, ours, peer *chain, p *papers) ([]figure, error) {
	var times, peers samples
	for range runs {
		w, err := p.batch(1, false)
		if err != nil {
			return nil, err
		}
		for _, sent := range []struct {
			to   *chain
			work work
			into *samples
		}{{ours, w, &times}, {peer, work{pair(), pair()}, &peers}} {
			for _, tx := range sent.work {
				took, err := sent.to.rpc.send(ctx, tx)
				if err != nil {
					return nil, err
				}
				*sent.into = append(*sent.into, took)
			}
		}
	}
	var figures []figure
	for _, q := range []float64{0.5, 0.99} {
		figures = append(figures, compare(ledgerName, "idle: submit to committed", q, times, peers, kvstoreName))
	}
	return figures, nil
}

// takeTurn makes a turn's transactions, sends them and measures.
func takeTurn(ctx context.Context, c *chain, l load, p *papers) (turn, error) {
	all := make([]work, l.works)
	for i := range all {
		if l.jobs == 0 {
			all[i] = work{pair()}
			continue
		}
		var err error
		if all[i], err = p.batch(l.jobs, l.signed); err != nil {
			return turn{}, err
		}
	}
	before, err := c.look(ctx)
	if err != nil {
		return turn{}, err
	}
	began := time.Now()
	finality, err := c.sendAll(ctx, all, l.window)
	if err != nil {
		return turn{}, err
	}
	took := time.Since(began)
	after, err := c.look(ctx)
	if err != nil {
		return turn{}, err
	}
	if want := l.works * l.jobs; after.receipts-before.receipts != want {
		return turn{}, fmt.Errorf("%d jobs were settled, not %d", after.receipts-before.receipts, want)
	}
	bytes, err := c.rpc.blockBytes(ctx, before.height, after.height)
	units := l.works * max(l.jobs, 1)
	return turn{
		perSecond: float64(len(finality)) / took.Seconds(), jobsPerSecond: float64(l.works*l.jobs) / took.Seconds(), finality: finality,
		bytes: float64(bytes) / float64(units), cpu: (after.cpu - before.cpu) / time.Duration(units),
		split: after.split.since(before.split, units),
	}, err
}

// sendAll sends works, so many at once, and gives every transaction's finality.
func (c *chain) sendAll(ctx context.Context, all []work, window int) (samples, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(window)
	took := make([]samples, len(all))
	for i, w := range all {
		group.Go(func() error {
			for _, tx := range w {
				t, err := c.rpc.send(ctx, tx)
				if err != nil {
					return err
				}
				took[i] = append(took[i], t)
			}
			return nil
		})
	}
	err := group.Wait()
	return slices.Concat(took...), err
}

// sight is a chain at a moment; receipts is how many the ledger has.
type sight struct {
	height   int64
	cpu      time.Duration
	receipts int
	split    split
}

func (c *chain) look(ctx context.Context) (s sight, err error) {
	if s.height, err = c.rpc.height(ctx); err != nil {
		return s, err
	}
	if s.cpu, err = c.cpu(); err != nil || c.metrics == "" {
		return s, err
	}
	text, err := fetch(ctx, c.metrics)
	if err != nil {
		return s, err
	}
	if s.receipts, err = gaugeIn(text, "aitbc_ledger_receipts"); err != nil {
		return s, err
	}
	first, err := cpuTime(c.nodes[0].Process.Pid)
	if err != nil {
		return s, err
	}
	s.split, err = splitIn(text, first)
	return s, err
}

// buildPeer builds the kvstore's node. forget removes it.
func buildPeer(ctx context.Context) (program string, forget func() error, err error) {
	dir, err := os.MkdirTemp("", "aitbc-bench-")
	if err != nil {
		return "", nil, err
	}
	forget = func() error { return os.RemoveAll(dir) }
	program = filepath.Join(dir, "kvpeer")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./services/ledger/internal/kvpeer")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return "", nil, errors.Join(fmt.Errorf("build the kvstore's node: %w", err), forget())
	}
	return program, forget, nil
}
