package api

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/custody"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// Jobs runs jobs for clients. All methods are safe for concurrent use.
type Jobs interface {
	// Submit makes a job durable and starts its escrow; a repeated request id gives the first job.
	// Errors: those of the contract's SubmitJob.
	Submit(ctx context.Context, r dispatch.SubmitRequest) (job.Job, error)
	// Available gives what another such job could cost at most, and whether jobs cost anything. Errors:
	// LEDGER_UNAVAILABLE.
	Available(ctx context.Context, r dispatch.SubmitRequest) (available aitbc.Amount, priced bool, err error)
	// Cancel ends a live job of this client. Errors: JOB_NOT_FOUND, WRONG_STATE.
	Cancel(ctx context.Context, client aitbc.AccountID, id aitbc.JobID) (job.Job, error)
	// Quote says how a job would fare. Errors: INVALID_FIELD, LEDGER_UNAVAILABLE.
	Quote(ctx context.Context, r dispatch.SubmitRequest) (dispatch.Quote, error)
	// Place gives where a waiting job stands; false: it does not wait for a miner.
	Place(j *job.Job) (scheduler.Place, bool)
	// Explain tells all about a job. Errors: JOB_NOT_FOUND.
	Explain(ctx context.Context, id aitbc.JobID) (dispatch.Explanation, error)
}

// Leases runs jobs for miners that speak no stream. All methods are safe for concurrent use.
type Leases interface {
	// Leases lists what the miner holds, by job id.
	Leases(ctx context.Context, miner aitbc.AccountID) ([]dispatch.Handover, error)
	// Start reports that the miner's attempt runs, since startedAt by its clock; zero: now.
	// Errors: LEASE_NOT_HELD.
	Start(ctx context.Context, miner aitbc.AccountID, id aitbc.JobID, startedAt time.Time) (job.Job, error)
	// CompleteParts takes a result with the parts of its statement and gives the job with its
	// completion; a repeat gives the same. Errors: LEASE_NOT_HELD, PROOF_REJECTED, WRONG_STATE.
	CompleteParts(ctx context.Context, miner aitbc.AccountID, c dispatch.Completion) (job.Job, error)
}

// Network is what the coordinator knows of its miners.
type Network interface {
	// Miners lists them by id.
	Miners() []dispatch.MinerView
	// Models lists what they have, by name.
	Models() []dispatch.ModelView
	// ExplainMiner tells all about a miner. Errors: MINER_NOT_FOUND.
	ExplainMiner(id aitbc.AccountID) (dispatch.MinerExplanation, error)
}

// Keys makes and ends API keys; *custody.Issuer is one, and one that revokes must make it count at once.
type Keys interface {
	// Create, Rotate and Revoke are *custody.Issuer's.
	Create(ctx context.Context, r custody.Request) (custody.Issued, error)
	Rotate(ctx context.Context, r custody.Rotation) (issued custody.Issued, replaced store.Key, err error)
	Revoke(ctx context.Context, id string, now time.Time) (store.Key, error)
	// List lists all keys, by id.
	List(ctx context.Context) ([]store.Key, error)
}

// Reader reads stored jobs; store.Store is one.
type Reader interface {
	Job(ctx context.Context, id aitbc.JobID) (job.Job, error)
	Result(ctx context.Context, id aitbc.JobID) (string, error)
	Jobs(ctx context.Context, q store.JobQuery) ([]job.Job, error)
	// Escrows gives what is in escrow for a client's jobs that are not done, and what waits to be.
	Escrows(ctx context.Context, client aitbc.AccountID) (escrowed, waiting aitbc.Amount, err error)
	// SpentOf reads what counts as spent of a budget on a day.
	SpentOf(ctx context.Context, budget string, day store.Day) (aitbc.Amount, error)
}

var (
	_ Jobs    = (*dispatch.Dispatcher)(nil)
	_ Leases  = (*dispatch.Dispatcher)(nil)
	_ Network = (*dispatch.Dispatcher)(nil)
	_ Reader  = store.Reader(nil)
)

// Deps are what the handlers lean on; all are required.
type Deps struct {
	Jobs    Jobs
	Leases  Leases
	Keys    Keys
	Network Network
	Reader  Reader
	Watches Watches
	// Senders starts the goroutines that may outlive a watcher's handler for a moment; wait for it
	// after the server has stopped. Stopping is closed when watchers must go.
	Senders  *sync.WaitGroup
	Stopping <-chan struct{}
	// Ledger gives balances, prices and miners' keys.
	Ledger dispatch.Ledger
	// Statements explain accounts; nil: there is no ledger, and nothing to explain.
	Statements Statements
	// Faucet gives tokens to whoever asks; nil: nobody does, and there is no such service.
	Faucet Faucet
	// ChainID is the ledger's; Operator is the operator's public key.
	ChainID  string
	Operator ed25519.PublicKey
}

// Register puts all handlers on the server.
func Register(server grpc.ServiceRegistrar, d Deps) error {
	if d.Jobs == nil || d.Leases == nil || d.Keys == nil || d.Network == nil || d.Reader == nil || d.Ledger == nil ||
		d.Watches == nil || d.Senders == nil || d.Stopping == nil || len(d.Operator) != ed25519.PublicKeySize {
		return errors.New("api: jobs, leases, keys, network, reader, watches, senders, stopping, ledger and the operator's key are required")
	}
	coordinatorv1.RegisterJobServiceServer(server, &jobServer{deps: d})
	coordinatorv1.RegisterLeaseServiceServer(server, &leaseServer{deps: d})
	coordinatorv1.RegisterKeyServiceServer(server, &keyServer{deps: d})
	coordinatorv1.RegisterReceiptServiceServer(server, &receiptServer{deps: d})
	coordinatorv1.RegisterNetworkServiceServer(server, &networkServer{deps: d})
	if d.Faucet != nil {
		coordinatorv1.RegisterFaucetServiceServer(server, &faucetServer{faucet: d.Faucet})
	}
	return nil
}
