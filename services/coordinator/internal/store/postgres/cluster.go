package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// A replica is there as long as its row in replicas. Every transaction of an Update locks that row
// (lockReplica), and removing it waits for such a lock or is passed over: so a replica that was
// removed has committed all it ever will.

const (
	lockReplica = `SELECT 1 FROM replicas WHERE id = $1 FOR KEY SHARE`

	insertReplica = `
	INSERT INTO replicas (name, address, cert_hash, expires_at)
	VALUES ($1, $2, $3, clock_timestamp() + $4::interval)
	RETURNING id`

	renewReplica = `UPDATE replicas SET expires_at = clock_timestamp() + $2::interval WHERE id = $1`

	// One that is committing at this moment is not silent.
	removeSilent = `
	DELETE FROM replicas WHERE id IN (SELECT id FROM replicas WHERE expires_at < clock_timestamp() AND id <> $1 FOR UPDATE SKIP LOCKED)`

	// A shard whose replica is gone and that has no jobs is nobody's: each replica that comes makes one of its
	// own, and without this they would grow in number for ever. The last stays, so that no number is used
	// twice. Jobs wait, or a miner has them, or the ledger is owed something of them.
	dropEmpty = `
	DELETE FROM duties d
	WHERE d.id > 0 AND d.id < (SELECT max(id) FROM duties)
		AND NOT EXISTS (SELECT FROM replicas r WHERE r.id = d.holder)
		AND NOT EXISTS (SELECT FROM live_jobs l WHERE l.shard = d.id AND l.phase = 'queued')
		AND NOT EXISTS (SELECT FROM live_jobs l WHERE l.shard = d.id AND l.phase IN ('leased', 'running', 'unknown'))
		AND NOT EXISTS (SELECT FROM outbox o JOIN live_jobs l ON l.id = o.job_id WHERE l.shard = d.id)`

	takeDuties = `
	UPDATE duties SET holder = $1, term = term + 1 WHERE id IN (
		SELECT d.id FROM duties d WHERE NOT EXISTS (SELECT FROM replicas r WHERE r.id = d.holder) FOR UPDATE SKIP LOCKED)`

	hasShard = `SELECT EXISTS (SELECT FROM duties WHERE holder = $1 AND id > 0)`

	insertShard = `INSERT INTO duties (id, holder) SELECT coalesce(max(id), 0) + 1, $1 FROM duties`
)

// clusterLock is the advisory lock under which replicas come: two must not make the same shard. What
// they hold is fenced by their rows, not by it.
const clusterLock = migrationLock + 1

// Join implements store.Cluster.
func (s *Store) Join(ctx context.Context, r store.Replica, lifetime time.Duration) (m store.Membership, err error) {
	s.lifetime = lifetime
	err = pgx.BeginFunc(ctx, s.writing, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(clusterLock)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM replicas WHERE name = $1`, []byte(r.Name)); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, insertReplica, []byte(r.Name), r.Address, optional(r.CertHash[:]), lifetime).Scan(&r.ID); err != nil {
			return err
		}
		if err := takeOver(ctx, tx, r.ID, true); err != nil {
			return err
		}
		var has bool
		if err := tx.QueryRow(ctx, hasShard, r.ID).Scan(&has); err != nil {
			return err
		}
		if !has {
			if _, err := tx.Exec(ctx, insertShard, r.ID); err != nil {
				return err
			}
		}
		m, err = membership(ctx, tx, r.ID)
		return err
	})
	if err != nil {
		return store.Membership{}, fmt.Errorf("join the replicas: %w", opaque(err))
	}
	s.self.Store(r.ID)
	return m, nil
}

// takeOver removes the replicas that were silent for too long and takes what nobody holds and is worth it.
func takeOver(ctx context.Context, tx pgx.Tx, self int64, joins bool) error {
	if _, err := tx.Exec(ctx, removeSilent, self); err != nil {
		return err
	}
	if !joins { // one that comes is in need of a shard
		if _, err := tx.Exec(ctx, dropEmpty); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, takeDuties, self)
	return err
}

// Beat implements store.Cluster.
func (s *Store) Beat(ctx context.Context) (m store.Membership, err error) {
	self := s.self.Load()
	err = pgx.BeginFunc(ctx, s.writing, func(tx pgx.Tx) error {
		renewed, err := tx.Exec(ctx, renewReplica, self, s.lifetime)
		if err != nil {
			return err
		}
		if renewed.RowsAffected() == 0 {
			return store.ErrFenced
		}
		if err := takeOver(ctx, tx, self, false); err != nil {
			return err
		}
		m, err = membership(ctx, tx, self)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrFenced) {
		err = opaque(err)
	}
	if err != nil {
		return store.Membership{}, fmt.Errorf("renew this replica: %w", err)
	}
	return m, nil
}

// Leave implements store.Cluster.
func (s *Store) Leave(ctx context.Context) error {
	if _, err := s.writing.Exec(ctx, `DELETE FROM replicas WHERE id = $1`, s.self.Load()); err != nil {
		return fmt.Errorf("leave the replicas: %w", opaque(err))
	}
	return nil
}

func membership(ctx context.Context, tx pgx.Tx, self int64) (store.Membership, error) {
	m := store.Membership{Self: self, Holders: map[int32]int64{}}
	rows, err := tx.Query(ctx, `SELECT id, name, address, cert_hash FROM replicas ORDER BY id`)
	if err != nil {
		return m, err
	}
	m.Replicas, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r store.Replica, err error) {
		err = row.Scan(&r.ID, toText(&r.Name), &r.Address, toFixed(r.CertHash[:]))
		return r, err
	})
	if err != nil {
		return m, err
	}
	rows, err = tx.Query(ctx, `SELECT d.id, d.holder FROM duties d JOIN replicas r ON r.id = d.holder ORDER BY d.id`)
	if err != nil {
		return m, err
	}
	var duty int32
	var holder int64
	_, err = pgx.ForEachRow(rows, []any{&duty, &holder}, func() error {
		m.Holders[duty] = holder
		if holder == self {
			m.Duties = append(m.Duties, duty)
		}
		return nil
	})
	return m, err
}
