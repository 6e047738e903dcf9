package store

import (
	"context"
	"errors"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// ErrFenced says that this replica was silent for too long, or a new run of it has begun: what it
// held is others' now, and nothing it does is written any more. It must begin anew.
var ErrFenced = errors.New("another replica has taken over: this one was silent for too long, or was started twice")

// Settling is the duty of settling with the ledger; all others are shards of the jobs.
const Settling int32 = 0

// Replica is one run of one process that shares the store.
type Replica struct {
	// ID is the run's: never used again.
	ID int64
	// Name is the process's, the same after a restart. A new run takes the place of the run before.
	Name string
	// Address is where its gRPC is reached by other replicas, CertHash the SHA-256 of its
	// certificate; zero: plaintext.
	Address  string
	CertHash aitbc.Hash
}

// Membership is who shares the store, and who does what.
type Membership struct {
	// Self is this replica's ID.
	Self int64
	// Duties are what this replica holds: Settling, shards. It has them until it leaves or Update
	// fails with ErrFenced.
	Duties []int32
	// Holders gives for each duty the replica that holds it, and is missing those that nobody does.
	Holders map[int32]int64
	// Replicas are all, this one too, by ID.
	Replicas []Replica
}

// Cluster keeps who shares the store. From Join to Leave every Update is this replica's, and fails
// with ErrFenced once it was removed: so nobody writes who has lost what it held.
type Cluster interface {
	// Join enters a replica and gives it its duties: at least one shard. It takes the place of one of
	// the same name. lifetime is how long it stays without a Beat.
	Join(ctx context.Context, r Replica, lifetime time.Duration) (Membership, error)
	// Beat says that this replica lives. It removes those that were silent for too long and takes
	// what nobody holds. Errors: ErrFenced.
	Beat(ctx context.Context) (Membership, error)
	// Leave removes this replica, so that the others need not wait for its silence.
	Leave(ctx context.Context) error
}
