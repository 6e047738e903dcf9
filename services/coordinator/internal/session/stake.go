package session

import (
	"context"
	"errors"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// watchStake tells dispatch while the session lasts what the miner's stake is: it unbonds, is slashed,
// or the least that is asked for changes. A ledger that does not answer changes nothing.
func (t *talk) watchStake(ctx context.Context) {
	tick := time.NewTicker(t.service.config.StakeInterval)
	defer tick.Stop()
	had := true // or it would not be here
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		stake, enough, err := t.stake(ctx)
		if err != nil {
			continue
		}
		t.service.deps.Dispatcher.MinerStake(t.miner, t.number, stake, enough)
		if enough != had {
			t.log.WarnContext(ctx, "miner's stake has passed the least", "stake", stake.String(), "gets_work", enough)
		}
		had = enough
	}
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
