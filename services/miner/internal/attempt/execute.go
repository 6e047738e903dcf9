package attempt

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aitbc/aitbc/services/internal/crash"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

// outcome is how a run ended.
type outcome struct {
	answer executor.Answer
	engine string   // name and version of who answered
	use    *float64 // mean use of the GPU; nil: there is none
	// signed says that a statement is on disk; stopped, that it is of a part of the answer.
	signed, stopped bool
	err             error // when there is no statement
}

// execute runs one lease to its end, whatever that is.
func (r *Runner) execute(ctx context.Context, x *run) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.mu.Lock()
	x.cancel = cancel
	if x.stop != nil {
		cancel(x.stop)
	}
	r.mu.Unlock()

	out := r.attempt(ctx, x)
	if out.err == nil {
		out.err = r.sign(x, &out)
	}
	r.finish(x, &out)
	r.log(ctx, x, out)
}

// checkDigest refuses a model that is not the one the lease names.
func (r *Runner) checkDigest(ctx context.Context, j job, model string) error {
	digest, err := r.deps.Executor.Digest(ctx, model)
	if err != nil {
		return err
	}
	if want := hex.EncodeToString(j.lease.ModelDigest[:]); digest != want {
		return &executor.Failure{
			Reason: executor.ModelNotFound, Message: fmt.Sprintf("%s has digest %s here, the lease names %s", model, digest, want),
		}
	}
	return nil
}

// attempt asks the engine. Its outcome has no error when there is something to sign.
func (r *Runner) attempt(ctx context.Context, x *run) outcome {
	j := x.job
	model := executor.FullName(j.lease.Model)
	engine, err := r.engine(ctx)
	if err != nil {
		return outcome{err: orCause(ctx, err)}
	}
	// The look at the digest costs a call of some milliseconds, so it goes beside the generation,
	// which it ends when it finds another model. Nothing is signed before it is done, so a stop of
	// the attempt does not stop it.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	checked := make(chan error, 1)
	go func() {
		err := r.checkDigest(context.WithoutCancel(ctx), j, model)
		if err != nil {
			cancel(err)
		} else {
			x.speech.check(engine)
		}
		checked <- err
	}()
	stopWatch := r.watch(ctx)
	out := outcome{engine: engine}
	crash.At("miner/run/before")
	out.answer, out.err = r.deps.Executor.Generate(ctx, executor.Request{
		Type: j.wire.GetType(), Model: model, Prompt: j.wire.GetPrompt(), Options: options(j.wire.GetOptions()),
		Limit: j.limit,
		Heard: func(piece executor.Piece) { r.hear(x, piece) },
	})
	crash.At("miner/run/after")
	out.use = stopWatch()
	if err := <-checked; err != nil {
		return outcome{err: err}
	}
	if out.err != nil && out.answer.OutputTokens > 0 && (errors.Is(out.err, errSettle) || limitIsPaid(j, out.err)) {
		out.stopped, out.err = true, nil
	}
	return out
}

// orCause prefers the reason why ctx ended: the error is a consequence of it.
func orCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// limitIsPaid reports an end at a limit that the client set itself and pays for.
func limitIsPaid(j job, err error) bool {
	var failure *executor.Failure
	return j.wire.GetSettleAtLimit() && errors.As(err, &failure) && failure.Reason == executor.ExecutionLimit
}

// watch samples the GPU's use, on a machine that has one.
func (r *Runner) watch(ctx context.Context) (stop func() *float64) {
	if !r.hasGPU() {
		return func() *float64 { return nil }
	}
	stopSampling := r.deps.Devices.Watch(ctx)
	return func() *float64 {
		if mean, ok := stopSampling(); ok {
			return &mean
		}
		return nil
	}
}

// finish books the outcome and frees the slot.
func (r *Runner) finish(x *run, out *outcome) {
	id := x.job.id()
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.change()
	delete(r.running, id)
	switch {
	case out.signed && x.stop != nil && errors.Is(x.stop, errRevoked):
		// The revocation came while the statement was being written: it will not be paid.
		r.forget(id)
		out.err = errors.Join(errRevoked, r.deps.Spool.Revoke(id, time.Now()))
		r.failed++
	case out.signed:
		r.owners[id] = x.job.operator.party()
		r.completed++
	default:
		r.forget(id)
		r.failed++
		out.err = r.bookFailure(offered{x.job.operator.party(), id}, out.err)
		r.Refresh()
	}
	r.deps.Metrics.ended(*out)
}

// bookFailure notes why a run has no result. The mutex is held.
func (r *Runner) bookFailure(l offered, err error) error {
	switch {
	case errors.Is(err, errRevoked):
		r.ended.note(l, &executor.Failure{Reason: cancelled, Message: "it was revoked"})
	case errors.Is(err, errSettle):
		r.ended.fail(l, &executor.Failure{Reason: cancelled, Message: "it was stopped before the engine had said anything"})
	case errors.Is(err, errLeaving), errors.Is(err, context.Canceled):
		err = &executor.Failure{Reason: minerLost, Message: "the miner leaves"}
		r.ended.fail(l, err)
	default:
		r.ended.fail(l, err)
	}
	return err
}

// log writes the attempt's one line.
func (r *Runner) log(ctx context.Context, x *run, out outcome) {
	attributes := []any{
		obs.KeyJobID, x.job.lease.JobID.String(), obs.KeyLeaseID, x.job.id(), obs.KeyModel, x.job.lease.Model,
		"outcome", out.name(), "compute_time", out.answer.Compute, "prompt_tokens", out.answer.PromptTokens,
		"output_tokens", out.answer.OutputTokens, "took", time.Since(x.started),
	}
	if out.use != nil {
		attributes = append(attributes, "gpu_utilization", *out.use)
	}
	level := slog.LevelInfo
	if out.err != nil {
		level, attributes = slog.LevelWarn, append(attributes, obs.KeyError, out.err)
	}
	r.deps.Log.Log(ctx, level, "attempt ended", attributes...)
}

// name is the outcome's word in logs and metrics.
func (o outcome) name() string {
	switch {
	case errors.Is(o.err, errRevoked):
		return "revoked"
	case o.err != nil:
		return "failed"
	case o.stopped:
		return "stopped"
	default:
		return "completed"
	}
}
