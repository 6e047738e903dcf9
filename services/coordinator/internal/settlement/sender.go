package settlement

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/internal/crash"
	"github.com/aitbc/aitbc/services/internal/obs"
)

const (
	// firstPause and longestPause bound the exponential backoff, which is jittered.
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
	// idleLook is how often the sender looks for what has become due without a signal.
	idleLook = time.Second
	// storeTimeout bounds a read of the outbox.
	storeTimeout = 30 * time.Second
	// glanceEvery is how often an outbox that is one page at most is read from its start: the commits of
	// several replicas become visible in another order than their numbers, and one that came late is behind
	// the cursor.
	glanceEvery = 2 * time.Second
	// clockLag is by how much the ledger's clock, as seen here when a run begins, may lag behind
	// what the run before had seen.
	clockLag = 30 * time.Second
)

// backoff gives how long to wait after this many failures in a row, from 0.
func backoff(failures int, longest time.Duration) time.Duration {
	pause := longest
	if failures < 20 {
		pause = min(firstPause<<failures, longest)
	}
	return pause/2 + rand.N(pause/2+1)
}

// sender fills transactions and broadcasts them.
type sender struct {
	*Chain
	// cursor is the last sequence number that was loaded.
	cursor int64
	// high is the highest number that was ever loaded: what is found below it may have been sent before.
	high int64
	// more says that the outbox may hold something behind the cursor.
	more bool
	// shallow: all of it was one page, when it was last read from its start; glanced is when that began.
	shallow bool
	glanced time.Time
	// swept is when reading the outbox from its start began last.
	swept time.Time
	// rereading says that what is loaded may have been sent before, by this run or an earlier one:
	// until the end of the outbox has been seen once since the last start from its beginning.
	rereading bool
}

// send is the sender's loop.
func (c *Chain) send(ctx context.Context) error {
	s := &sender{Chain: c, more: true, rereading: true, swept: time.Now()}
	failures := 0
	for ctx.Err() == nil {
		err := s.step(ctx)
		wait := idleLook
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() != nil:
			return nil //nolint:nilerr // told to stop, and so the step failed
		default:
			wait = backoff(failures, longestPause)
			if failures == 0 {
				c.deps.Log.WarnContext(ctx, "settlement waits", obs.KeyError, ledger.Detail(err))
			}
			failures++
		}
		s.wait(ctx, wait, err == nil)
	}
	return nil
}

// wait sleeps until something may be done. While the ledger refuses or is away only time helps.
func (s *sender) wait(ctx context.Context, d time.Duration, signals bool) {
	if due := s.mirror.nextDue(); !due.IsZero() && signals {
		d = min(d, max(time.Until(due), time.Millisecond))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	notify := s.notify
	if !signals {
		notify = nil
	}
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-notify:
		s.more = true
	}
}

// step sends all that can be sent now.
func (s *sender) step(ctx context.Context) error {
	for ctx.Err() == nil {
		head, err := s.deps.Ledger.Head()
		if err != nil {
			return err
		}
		if err := s.load(ctx, head); err != nil {
			return err
		}
		entries := s.mirror.take(time.Now())
		s.metrics.watch(s.mirror)
		if len(entries) == 0 {
			return nil
		}
		if err := s.dispatch(ctx, head, entries); err != nil {
			return err
		}
	}
	return nil
}

// load reads on in the outbox while there is room, and from its start when a sweep is due.
func (s *sender) load(ctx context.Context, head ledger.Head) error {
	switch now := time.Now(); {
	case now.Sub(s.swept) >= s.config.SweepEvery:
		s.cursor, s.more, s.rereading, s.swept = 0, true, true, now
	case s.shallow && !s.rereading && now.Sub(s.glanced) >= glanceEvery:
		s.cursor, s.more, s.glanced = 0, true, now
	}
	for s.more && s.mirror.room() {
		page, first := 2*s.config.MaxMessages, s.cursor == 0
		n, err := s.loadPage(ctx, head, page)
		if err != nil {
			return err
		}
		if first {
			s.shallow = n < page
		}
		if n < page {
			s.more, s.rereading = false, false
		}
	}
	return nil
}

func (s *sender) loadPage(ctx context.Context, head ledger.Head, page int) (int, error) {
	s.mirror.beginLoad()
	defer s.mirror.endLoad()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	owed, err := s.deps.Outbox.Outbox(ctx, s.cursor, page)
	if err != nil {
		return 0, fmt.Errorf("read outbox: %w", err)
	}
	for _, o := range owed {
		passed := o.Seq <= s.high
		s.cursor, s.high = o.Seq, max(s.high, o.Seq)
		if s.mirror.has(key{o.Job.ID, o.Kind}) {
			continue
		}
		e, err := newEntry(o)
		if err != nil {
			s.deps.Log.ErrorContext(ctx, "message cannot be sent", obs.KeyJobID, o.Job.ID.String(), obs.KeyError, err)
			continue
		}
		if s.rereading || passed {
			e.loose = head.LedgerTime.Add(s.config.TxLife + clockLag)
		}
		s.mirror.add(e)
	}
	return len(owed), nil
}

// dispatch signs a transaction of these messages and broadcasts it.
func (s *sender) dispatch(ctx context.Context, head ledger.Head, entries []*entry) error {
	expires := head.LedgerTime.Add(s.config.TxLife)
	body := &ledgerv1.TxBody{
		Version:   aitbc.TxVersion,
		ChainId:   head.ChainID,
		Signer:    s.deps.Operator[:],
		ExpiresUs: expires.UnixMicro(),
		Messages:  make([]*ledgerv1.Message, len(entries)),
	}
	inherit := head.Params.GetRulesVersion() >= aitbc.RulesInherit
	if inherit {
		gather(entries)
	}
	for i, e := range entries {
		body.Messages[i] = e.message
	}
	if inherit {
		body.Messages = aitbc.Compact(body.Messages)
	}
	tx, hash, err := aitbc.SignTx(s.deps.Key, body)
	if err != nil {
		s.mirror.giveBack(entries)
		return fmt.Errorf("sign transaction: %w", err)
	}
	f := &flight{hash: hash, tx: tx, entries: entries, expires: expires, again: time.Now().Add(s.config.ResendAfter)}
	s.mirror.depart(f)
	return s.broadcast(ctx, f)
}

// gather puts receipts of one model and miner side by side, so that they inherit most from one another.
// They come before all else: what they refund may pay for the escrows, which stay in their order.
func gather(entries []*entry) {
	slices.SortStableFunc(entries, func(a, b *entry) int {
		x, y := a.message.GetRecordReceipt(), b.message.GetRecordReceipt()
		switch {
		case x == nil && y == nil:
			return 0
		case x == nil:
			return 1
		case y == nil:
			return -1
		}
		return cmp.Or(bytes.Compare(x.GetModelDigest(), y.GetModelDigest()), bytes.Compare(x.GetMiner(), y.GetMiner()))
	})
}

// broadcast sends a flight's bytes, for the first time or again. A node that does not answer may
// have them, so the flight goes on, and the bytes are sent again soon. Errors: the ledger's, when
// the next transaction had better wait too.
func (c *Chain) broadcast(ctx context.Context, f *flight) error {
	before := c.mirror.attempt(f)
	crash.At("coordinator/broadcast/before")
	err := c.deps.Ledger.Broadcast(ctx, f.tx)
	crash.At("coordinator/broadcast/after")
	var refused *ledger.RefusedError
	switch {
	case err == nil:
		c.mirror.resend(f, time.Now().Add(c.config.ResendAfter))
		return nil
	case !errors.As(err, &refused):
		c.mirror.resend(f, time.Now().Add(backoff(before, c.config.ResendAfter)))
		return err
	}
	if before > 0 { // the node may have passed it on at the first time
		f.loosen()
	}
	if len(refused.Results) != len(f.entries) || applies(refused.Results) {
		c.mirror.land(f)
		c.mirror.giveBack(f.entries)
		return err
	}
	c.mirror.refuse(f, refused.Results)
	signal(c.decided)
	return nil
}

// applies reports whether any message would have been applied: then the refusal contradicts itself
// and decides nothing.
func applies(results []*ledgerv1.MessageResult) bool {
	return slices.ContainsFunc(results, func(r *ledgerv1.MessageResult) bool {
		return r.GetCode() == ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED
	})
}

// loosen notes that the transaction may still be committed though it is no longer watched.
func (f *flight) loosen() {
	for _, e := range f.entries {
		if f.expires.After(e.loose) {
			e.loose = f.expires
		}
	}
}
