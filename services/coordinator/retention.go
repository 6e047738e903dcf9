package coordinator

import (
	"context"
	"fmt"
	"time"

	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/internal/run"
)

const (
	// minRetention is the shortest time that prompts and results are kept: whoever waits for a job reads
	// its result after its end.
	minRetention = time.Minute
	// purgeEvery is how often something to delete is looked for.
	purgeEvery = time.Minute
	// purgeBatch is how many jobs' texts are deleted in one transaction, and purgePause the pause behind
	// it: what is under way goes first.
	purgeBatch = 200
	purgePause = 50 * time.Millisecond
)

func (c Config) validateRetention() error {
	if c.Retention == 0 || c.Retention >= minRetention {
		return nil
	}
	return fmt.Errorf("retention %s: want at least %s, or 0 to keep everything", c.Retention, minRetention)
}

// retention deletes prompts and results whose time is over, on the one replica that settles.
func (s *Service) retention(p *parts) run.Func {
	return func(ctx context.Context) error {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case <-timer.C:
			case <-ctx.Done():
				return nil
			}
			next := purgeEvery
			if s.cfg.Retention > 0 && p.member.Settles() {
				purged, err := p.store.Purge(ctx, time.Now().Add(-s.cfg.Retention), purgeBatch)
				if err != nil && ctx.Err() == nil {
					s.deps.Logger.WarnContext(ctx, "old prompts and results are not deleted yet", obs.KeyError, err)
				}
				if purged == purgeBatch {
					next = purgePause
				}
			}
			timer.Reset(next)
		}
	}
}
