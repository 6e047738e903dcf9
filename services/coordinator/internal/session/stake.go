package session

import (
	"context"
	"errors"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// lookAtStake tells dispatch what the miner's stake is by now: it unbonds, is slashed, or the least that
// is asked for changes. A ledger that does not answer changes nothing. One look at a time.
func (t *talk) lookAtStake(ctx context.Context) {
	if !t.looking.CompareAndSwap(false, true) {
		return
	}
	t.service.pumps.Go(func() {
		defer t.looking.Store(false)
		stake, enough, err := t.stake(ctx)
		if err != nil {
			return
		}
		t.service.deps.Dispatcher.MinerStake(t.miner, t.number, stake, enough)
		if poor := !enough; poor != t.poor {
			t.poor = poor
			t.log.WarnContext(ctx, "miner's stake has passed the least", "stake", stake.String(), "gets_work", enough)
		}
	})
}

// stake asks the ledger for the miner's stake, and whether that is enough: never for one that it no
// longer knows.
func (t *talk) stake(ctx context.Context) (stake aitbc.Amount, enough bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.service.config.StakeInterval)
	defer cancel()
	least, err := t.service.deps.Ledger.MinStake()
	if err != nil {
		return 0, false, err
	}
	_, stake, err = t.service.deps.Ledger.Miner(ctx, t.miner)
	if errors.Is(err, errUnknownMiner) {
		return 0, false, nil
	}
	return stake, stake >= least, err
}
