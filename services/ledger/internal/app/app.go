package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/crash"
	"github.com/aitbc/aitbc/services/ledger/internal/history"
	"github.com/aitbc/aitbc/services/ledger/internal/query"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// App is the ledger as CometBFT sees it.
type App struct {
	abci.BaseApplication
	deps      Deps
	committed atomic.Pointer[state.State]
	verified  *verifiedSet
	// halted gets the first error that stopped the chain; it is never closed.
	halted chan error

	snapshots *snapshots
	retain    int64
	// blockTime gives the time of the block that the chain executed last, by its own record; nil
	// while that is not known. It is asked once after each start, see checkTime.
	blockTime func() (height int64, at time.Time, err error)

	// restoring is a snapshot on its way in; only state sync touches it.
	restoring *restoring
	// pending is the block between FinalizeBlock and Commit; only consensus touches it.
	pending *pending

	mu sync.Mutex
	// check is what CheckTx applies transactions to; nil before there is a state.
	check *state.Block
}

// Deps are what an App works with. All are required; it closes none of them.
type Deps struct {
	Store   *Store
	History *history.DB
	Logger  *slog.Logger
	Metrics *Metrics
	// SnapshotEvery is the number of blocks between states on offer to nodes that join; 0: none.
	SnapshotEvery int64
	// RetainBlocks is how many blocks are kept; 0: all.
	RetainBlocks int64
}

// pending is an executed block that is not on disk.
type pending struct {
	outcome state.Outcome
	block   history.Block
}

var _ abci.Application = (*App)(nil)

// New takes up the state where the store left it.
func New(deps Deps) (*App, error) {
	a := &App{
		deps: deps, verified: newVerifiedSet(maxVerified, deps.Metrics.costs), halted: make(chan error, 1),
		snapshots: &snapshots{every: deps.SnapshotEvery}, retain: deps.RetainBlocks,
	}
	st, err := deps.Store.Load()
	if err != nil {
		return nil, err
	}
	if st != nil {
		if err := deps.History.Begin(st); err != nil {
			return nil, err
		}
		a.publish(st)
	}
	return a, nil
}

// State gives the last committed state; nil before there is one.
func (a *App) State() *state.State { return a.committed.Load() }

// Halted gives the error that stopped the chain. CometBFT itself only stops making blocks.
func (a *App) Halted() <-chan error { return a.halted }

// halt must be deferred by what consensus calls: it turns a panic, which means that our own state is
// corrupt, into an error, and makes every error known.
func (a *App) halt(what string, err *error) {
	if panicked := recover(); panicked != nil {
		*err = fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
	}
	if *err == nil {
		return
	}
	*err = fmt.Errorf("%s: %w", what, *err)
	select {
	case a.halted <- *err:
	default: // the first one says why
	}
}

// publish makes a state the committed one and starts CheckTx afresh on it.
func (a *App) publish(st *state.State) {
	a.committed.Store(st)
	a.snapshots.offer(st)
	a.deps.Metrics.last.Store(st)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.check = st.Begin(state.Context{Height: st.Height() + 1, Time: st.BlockTime()}, a.verified.verify)
}

// Info implements abci.Application: it tells CometBFT which blocks to give again.
func (a *App) Info(context.Context, *abci.RequestInfo) (*abci.ResponseInfo, error) {
	st := a.State()
	if st == nil || st.Height() == 0 {
		return &abci.ResponseInfo{}, nil
	}
	hash := st.AppHash()
	return &abci.ResponseInfo{LastBlockHeight: st.Height(), LastBlockAppHash: hash[:]}, nil
}

// InitChain implements abci.Application. Nothing is stored: before the first Commit, CometBFT calls
// it again.
func (a *App) InitChain(_ context.Context, req *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	genesis, err := ParseGenesis(req.AppStateBytes)
	if err != nil {
		return nil, err
	}
	genesis.ChainID, genesis.Time = req.ChainId, req.Time
	for _, v := range req.Validators {
		genesis.Validators = append(genesis.Validators, state.Validator{PublicKey: v.PubKey.GetEd25519(), Power: v.Power})
	}
	st, err := state.New(genesis)
	if err != nil {
		return nil, err
	}
	a.publish(st)
	hash := st.AppHash()
	return &abci.ResponseInitChain{AppHash: hash[:]}, nil
}

// CheckTx implements abci.Application: the mempool takes no transaction of which no message would
// be applied. Each is checked on top of those before it. A recheck, after a block, is no different:
// a transaction that was taken may hold a refused message beside an applied one, whose signature
// nobody has found to be right.
func (a *App) CheckTx(_ context.Context, req *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.check == nil {
		return nil, errors.New("check transaction: the chain has no state yet")
	}
	crash.At("ledger/check/before")
	defer a.deps.Metrics.costs.begin(partCheck)()
	result := a.checkTogether(req.Tx)
	code, detail := result.Verdict()
	data, err := encodeResults(result)
	if err != nil {
		return nil, fmt.Errorf("check transaction: %w", err)
	}
	return &abci.ResponseCheckTx{Code: uint32(code), Log: detail, Data: data, Codespace: codespace}, nil
}

// checkTogether checks a transaction as if the signatures in it were right, and then all of them at once.
// When one is not, the transaction is checked again, one by one. Only the mempool hopes: blocks are executed with
// what was found to be right.
func (a *App) checkTogether(tx []byte) state.TxResult {
	h := &hope{set: a.verified}
	result, undo := a.check.CheckBy(h.verify, tx)
	if h.holds() {
		return result
	}
	undo()
	return a.check.Check(tx)
}

// FinalizeBlock implements abci.Application: it executes a block. An error halts the node; it means
// that our own state is corrupt, never that a transaction is bad.
func (a *App) FinalizeBlock(_ context.Context, req *abci.RequestFinalizeBlock) (_ *abci.ResponseFinalizeBlock, err error) {
	defer a.halt(fmt.Sprintf("finalize block %d", req.Height), &err)
	defer a.deps.Metrics.costs.begin(partExecute)()
	st := a.State()
	if st == nil {
		return nil, errors.New("the chain has no state yet")
	}
	if want := st.Height() + 1; req.Height != want && st.Height() != 0 {
		return nil, fmt.Errorf("want height %d", want)
	}
	if err := a.checkTime(st); err != nil {
		return nil, err
	}
	crashAt("ledger/execute/before", len(req.Txs))
	block := st.Begin(state.Context{Height: req.Height, Time: req.Time, Journal: true}, a.verified.verify)
	results := make([]state.TxResult, len(req.Txs))
	answers := make([]*abci.ExecTxResult, len(req.Txs))
	for i, tx := range req.Txs {
		results[i] = block.Apply(tx)
		data, err := encodeResults(results[i])
		if err != nil {
			return nil, err
		}
		answers[i] = &abci.ExecTxResult{
			Code: uint32(results[i].Code), Log: results[i].Detail, Data: data, Codespace: codespace,
		}
	}
	outcome, err := block.End()
	if err != nil {
		return nil, err
	}
	hash := outcome.Next.AppHash()
	a.pending = &pending{outcome: outcome, block: history.Block{
		Height: req.Height, TimeUS: req.Time.UnixMicro(), Txs: results, Events: outcome.Events, LogNodes: outcome.LogNodes,
		Movements: outcome.Movements,
	}}
	if st.Height() == 0 {
		a.pending.block.Movements = append(st.Opening(), outcome.Movements...)
	}
	if hash != st.AppHash() || st.Height() == 0 {
		roots := outcome.Next.Roots()
		a.pending.block.Roots = &roots
	}
	crashAt("ledger/execute/after", len(req.Txs))
	return &abci.ResponseFinalizeBlock{
		TxResults: answers, AppHash: hash[:], ValidatorUpdates: validatorUpdates(outcome.Validators),
	}, nil
}

// Commit implements abci.Application: it puts the executed block on disk and shows it.
func (a *App) Commit(ctx context.Context, _ *abci.RequestCommit) (_ *abci.ResponseCommit, err error) {
	defer a.halt("commit", &err)
	defer a.deps.Metrics.costs.begin(partCommit)()
	p := a.pending
	if p == nil {
		return nil, errors.New("no block was executed")
	}
	crashAt("ledger/commit/before", len(p.block.Txs))
	if err := a.deps.History.Write(p.block); err != nil {
		return nil, err
	}
	crashAt("ledger/commit/between", len(p.block.Txs))
	// The first block's batch has genesis in it, which no block wrote.
	first := a.State().Height() == 0
	if err := a.deps.Store.Save(p.outcome, first); err != nil {
		return nil, err
	}
	crashAt("ledger/commit/after", len(p.block.Txs))
	a.pending = nil
	a.publish(p.outcome.Next)
	crashAt("ledger/publish/after", len(p.block.Txs))
	a.report(ctx, p)
	return &abci.ResponseCommit{RetainHeight: a.retainHeight(p.outcome.Next.Height())}, nil
}

// retainHeight gives the first block that is to be kept; 0: all. Whoever takes a snapshot needs those behind it.
func (a *App) retainHeight(height int64) int64 {
	if a.retain == 0 {
		return 0
	}
	first := height - a.retain + 1
	if snapshot := a.snapshots.oldest(); snapshot > 0 {
		first = min(first, snapshot)
	}
	return max(0, first)
}

// KnowBlockTime tells the app how to learn when the last block was, apart from its own state. It is
// called once, before the node starts.
func (a *App) KnowBlockTime(ask func() (height int64, at time.Time, err error)) { a.blockTime = ask }

// checkTime holds the state's block time, which is not in its hash and may be a snapshot's lie, to
// the header's. A wrong one would make this node's clock, and soon its hash, another one.
func (a *App) checkTime(st *state.State) error {
	if a.blockTime == nil {
		return nil
	}
	height, at, err := a.blockTime()
	if err != nil {
		return err
	}
	a.blockTime = nil
	if height != st.Height() || at.UnixMicro() == st.BlockTime().UnixMicro() {
		return nil
	}
	return fmt.Errorf("the state says that block %d was at %s, its header says %s: empty the data folder and join again", height, st.BlockTime(), at)
}

// Query implements abci.Application. The code of a refusal is that of google.rpc.
func (a *App) Query(ctx context.Context, req *abci.RequestQuery) (*abci.ResponseQuery, error) {
	value, err := query.New(a, a.deps.History).ABCI(ctx, req.Path, req.Data)
	if err != nil {
		known := apierr.From(ctx, err)
		status := known.GRPCStatus()
		a.deps.Logger.DebugContext(ctx, "query refused", "path", req.Path, "error", known)
		return &abci.ResponseQuery{Code: uint32(status.Code()), Log: status.Message(), Codespace: queryCodespace}, nil
	}
	response := &abci.ResponseQuery{Value: value}
	if st := a.State(); st != nil {
		response.Height = st.Height()
	}
	return response, nil
}

// crashAt is where tools/chaos may end the process, in a block that has transactions.
func crashAt(name string, txs int) {
	if crash.Enabled && txs > 0 {
		crash.At(name)
	}
}
