package miner

import (
	"context"
	"errors"
	"fmt"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/miner/internal/enrol"
)

// enrolAgain is how long the miner waits before it looks again whether it can be enrolled.
const enrolAgain = 15 * time.Second

// enrol registers the miner on the ledger and bonds its stake. It goes on until that is done, and says
// what it waits for; meanwhile coordinators turn the miner away.
func (s *Service) enrol(ctx context.Context, ledger *aitbc.Ledger) error {
	wish := enrol.Wish{Key: s.key, Name: s.cfg.Name, Stake: s.cfg.Stake, ChainID: s.cfg.ChainID}
	for {
		standing, err := enrol.Once(ctx, ledger, wish)
		if err == nil {
			s.deps.Logger.InfoContext(ctx, "miner is enrolled", "miner_id", standing.Account.String(), "chain_id", standing.ChainID,
				"stake", standing.Stake.String(), "balance", standing.Balance.String())
			<-ctx.Done()
			return nil
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the miner was told to end
		}
		s.deps.Logger.WarnContext(ctx, "miner is not enrolled", obs.KeyError, err, "again_in", enrolAgain)
		timer := time.NewTimer(enrolAgain)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// ErrUnfunded says that a miner's account does not cover its stake.
var ErrUnfunded = enrol.ErrUnfunded

// validateEnrolment checks what enrolling needs.
func (c Config) validateEnrolment() error {
	var faults []error
	if c.Stake < 0 {
		faults = append(faults, errors.New("stake cannot be negative"))
	}
	if c.Stake > 0 && c.Ledger == "" {
		faults = append(faults, errors.New("stake needs ledger: the address of a node to bond it at"))
	}
	if len(c.Name) > maxName {
		faults = append(faults, fmt.Errorf("name has %d bytes, at most %d are taken", len(c.Name), maxName))
	}
	return errors.Join(faults...)
}

// maxName is the ledger's limit of a miner's name, in bytes.
const maxName = 64
