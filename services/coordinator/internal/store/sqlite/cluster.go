package sqlite

import (
	"context"
	"time"

	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// One process has the file, so it has everything, and nobody can take it away.

const (
	onlyReplica = 1
	onlyShard   = 1
)

// Join implements store.Cluster.
func (s *Store) Join(_ context.Context, r store.Replica, _ time.Duration) (store.Membership, error) {
	r.ID = onlyReplica
	s.membership = store.Membership{
		Self: onlyReplica, Duties: []int32{store.Settling, onlyShard},
		Holders: map[int32]int64{store.Settling: onlyReplica, onlyShard: onlyReplica}, Replicas: []store.Replica{r},
	}
	return s.membership, nil
}

// Beat implements store.Cluster.
func (s *Store) Beat(context.Context) (store.Membership, error) { return s.membership, nil }

// Leave implements store.Cluster.
func (*Store) Leave(context.Context) error { return nil }
