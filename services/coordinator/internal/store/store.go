// Package store says what the coordinator keeps and how. The store is the truth; everything in
// memory is an index that can be rebuilt from it.
//
// All changes go through one Committer per replica, which gathers what waits and commits it as one
// transaction (group commit), so that durable and fast are the same thing. A state change and the
// message it owes the ledger (the outbox) commit together.
//
// Instants are kept in UTC and whole microseconds, durations in whole microseconds; empty byte
// strings and lists come back nil.
//
// Implementations: package sqlite (one replica, one file) and package postgres. Each is held to the conformance suite in package storetest.
// Driver errors stop here: callers see ErrNotFound, job.ErrExists, job.ErrMismatch, or an error
// that means the store itself failed. Start with Store and Committer.
package store

import (
	"context"
	"errors"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// ErrNotFound says that there is no such row.
var ErrNotFound = errors.New("not found")

// Store is what an implementation offers.
type Store interface {
	Reader
	Keys
	Accounts
	Cluster
	// Update runs fn in one transaction and commits it, flushed to disk. When fn returns an error
	// nothing is written. Calls are serialised by the implementation.
	//
	// fn may run more than once, each time on the state without its earlier runs: an implementation
	// may answer it from what it believes the rows to be, check that with the commit, and run it
	// again when it was wrong. Only the last run counts, so fn sets results and never adds to them,
	// and judges what it was told after Update has returned.
	Update(ctx context.Context, fn func(Tx) error) error
	// Purge deletes the prompts and results of up to limit jobs that ended at before or earlier, the
	// first ended first, and gives how many jobs it came to; fewer than limit: that is all. The jobs
	// stay. It deletes each job's once and passes over none.
	Purge(ctx context.Context, before time.Time, limit int) (int, error)
	// Close ends the store; no call may follow or be under way.
	Close() error
}

// Reader reads committed state. Every method is safe for concurrent use.
type Reader interface {
	// Job reads a job. Errors: ErrNotFound.
	Job(ctx context.Context, id aitbc.JobID) (job.Job, error)
	// Shards gives the shards of those jobs that are not done.
	Shards(ctx context.Context, ids []aitbc.JobID) (map[aitbc.JobID]int32, error)
	// Payload reads a job's payload. Errors: ErrNotFound.
	Payload(ctx context.Context, id aitbc.JobID) (job.Payload, error)
	// Payloads reads those of many jobs; what is not there is missing from the answer.
	Payloads(ctx context.Context, ids []aitbc.JobID) (map[aitbc.JobID]job.Payload, error)
	// Result reads an accepted result, byte for byte. Errors: ErrNotFound.
	Result(ctx context.Context, id aitbc.JobID) (string, error)
	// Steps reads what was kept of a job's past (Tx.KeepSteps), in the order it was kept; none: no
	// error.
	Steps(ctx context.Context, id aitbc.JobID) ([]job.Step, error)
	// Jobs lists a client's jobs, newest first (by id, descending).
	Jobs(ctx context.Context, q JobQuery) ([]job.Job, error)
	// Live lists jobs that are not done, by id, from after (zero: from the start).
	Live(ctx context.Context, after aitbc.JobID, limit int) ([]job.Job, error)
	// Held lists the jobs that miners hold: all, or those of one shard or one miner. It costs no more
	// than there are.
	Held(ctx context.Context, q HeldQuery) ([]job.Job, error)
	// Waiting lists jobs that wait for a miner, of one line, by id.
	Waiting(ctx context.Context, q WaitingQuery) ([]job.Job, error)
	// WaitingClients lists the clients whose jobs of a priority wait for a model, in the order of their
	// ids, from after (zero: from the start).
	WaitingClients(ctx context.Context, q WaitingClientsQuery) ([]aitbc.AccountID, error)
	// Lines lists the lines of a shard in which jobs wait. It looks at every waiting job, in an index.
	Lines(ctx context.Context, shard int32) ([]Line, error)
	// Due lists jobs of a shard that have waited long enough for a miner at now, the first due first.
	Due(ctx context.Context, shard int32, now time.Time, limit int) ([]job.Job, error)
	// Escrows gives what a client has in escrow for its jobs that are not done, and what waits to be.
	Escrows(ctx context.Context, client aitbc.AccountID) (escrowed, waiting aitbc.Amount, err error)
	// SpentOf reads what counts as spent of a budget on a day.
	SpentOf(ctx context.Context, budget string, day Day) (aitbc.Amount, error)
	// Outbox lists messages the ledger is owed, oldest first, behind the sequence number after,
	// each with its job as it is now.
	Outbox(ctx context.Context, after int64, limit int) ([]Owed, error)
	// CountByStatus counts all jobs, for metrics. It must not scan history.
	CountByStatus(ctx context.Context) (map[job.Status]int64, error)
}

// JobQuery selects a page of a client's jobs.
type JobQuery struct {
	// Client is whose.
	Client aitbc.AccountID
	// Status selects; empty: all.
	Status job.Status
	// Before is the last id of the page before; zero: from the newest.
	Before aitbc.JobID
	// Limit is the page's size, from 1.
	Limit int
}

// HeldQuery selects jobs that miners hold. Zero values select nothing: they leave open.
type HeldQuery struct {
	// Shard is whose.
	Shard int32
	// Miner is who has them.
	Miner aitbc.AccountID
}

// WaitingQuery selects a part of a line of waiting jobs.
type WaitingQuery struct {
	// Shard, Model, Priority and Client name the line.
	Shard    int32
	Model    string
	Priority aitbc.Priority
	Client   aitbc.AccountID
	// After is the last id of the part before; zero: from the oldest.
	After aitbc.JobID
	// Limit is the part's size, from 1.
	Limit int
}

// WaitingClientsQuery selects a part of the clients that wait.
type WaitingClientsQuery struct {
	// Shard, Model and Priority say for what.
	Shard    int32
	Model    string
	Priority aitbc.Priority
	// After is the last client of the part before; zero: from the first.
	After aitbc.AccountID
	// Limit is the part's size, from 1.
	Limit int
}

// Line is a client's jobs of one priority that wait for a model.
type Line struct {
	// Model, Priority and Client name it, in its shard.
	Model    string
	Priority aitbc.Priority
	Client   aitbc.AccountID
	// Jobs is how many wait, Newest the last of them by id.
	Jobs   int
	Newest aitbc.JobID
}

// Owed is a message in the outbox.
type Owed struct {
	// Seq orders the outbox.
	Seq int64
	// Kind is what is owed.
	Kind job.Message
	// Job is the job as it is now.
	Job job.Job
}

// Tx is a transaction. A change that finds something wrong returns its error before its first
// write: the Committer carries several changes in one transaction, and a change that wrote and
// then failed fails them all.
//
// What breaks a rule of the tables (the books do not balance, a job comes back to life) fails the
// change itself or, at the latest, the commit.
type Tx interface {
	// Preload tells which jobs are about to be read, so that a store far away can fetch them in one
	// go. It changes no answer; ids of no job are passed over.
	Preload(ids ...aitbc.JobID) error
	// Job reads a job. Errors: ErrNotFound.
	Job(id aitbc.JobID) (job.Job, error)
	// InsertJob adds a new job. Errors: job.ErrExists, when the id is taken.
	InsertJob(j job.Job, p job.Payload) error
	// UpdateJob replaces what may change in a job. What was ordered (the fields up to MaxAttempts,
	// and SubmittedAt) stays as inserted; so do a completion and a settlement once they are there.
	// A job that is done stays done, and attempts are never counted back: trying it fails.
	// Errors: ErrNotFound.
	UpdateJob(j job.Job) error
	// KeepSteps adds to what is kept of a job's past: what its own fields do not tell any more
	// (job.Remember). Errors: ErrNotFound, when there is no such job.
	KeepSteps(id aitbc.JobID, steps []job.Step) error
	// PutResult keeps a result's bytes; there is at most one per job, for good. Errors:
	// ErrNotFound, when there is no such job; job.ErrExists, when it has a result.
	PutResult(id aitbc.JobID, result string) error
	// Owe adds a message to the outbox. A job owes at most one message of a kind: one that is there
	// keeps its number. Numbers are never used twice. Errors: ErrNotFound, when there is no such
	// job.
	Owe(id aitbc.JobID, kind job.Message) error
	// Paid takes a message from the outbox; one that is not there is no error.
	Paid(id aitbc.JobID, kind job.Message) error
	// Request reads what an account's idempotency key stands for, also when that has expired but
	// is not yet forgotten. Errors: ErrNotFound.
	Request(client aitbc.AccountID, requestID string) (Request, error)
	// PutRequest remembers an idempotency key; an earlier one is replaced, which is right only when
	// that has expired. Errors: ErrNotFound, when there is no such job.
	PutRequest(client aitbc.AccountID, requestID string, r Request) error
	// ForgetRequests drops up to limit requests that expired at now or before, the oldest first.
	// Called with each PutRequest and a limit above 1, it keeps the table small without ever
	// pausing for it.
	ForgetRequests(now time.Time, limit int) error
	// Spent reads what counts as spent of a budget on a day, and keeps every other transaction from
	// changing it until this one ends.
	Spent(budget string, day Day) (aitbc.Amount, error)
	// Spend adds to what counts as spent; a negative amount takes back, down to nothing.
	Spend(budget string, day Day, amount aitbc.Amount) error
}

// Day is a day in UTC, counted from 1970-01-01.
type Day int64

const secondsOfDay = 24 * 60 * 60

// DayOf gives the day of an instant.
func DayOf(t time.Time) Day { return Day(t.Unix() / secondsOfDay) }

// End gives when the day is over.
func (d Day) End() time.Time { return time.Unix((int64(d)+1)*secondsOfDay, 0).UTC() }

// Request is what an idempotency key stands for.
type Request struct {
	// Hash is the SHA-256 of the request.
	Hash aitbc.Hash
	// JobID is the job it made.
	JobID aitbc.JobID
	// ExpiresAt is when it is forgotten.
	ExpiresAt time.Time
}

// Scope is what a key may be used for.
type Scope string

// The scopes.
const (
	ScopeClient Scope = "client"
	ScopeReader Scope = "reader"
	ScopeMiner  Scope = "miner"
	ScopeAdmin  Scope = "admin"
)

// Key is an API key at rest.
type Key struct {
	// Hash is the SHA-256 of the key: keys are random and long, so a slow hash would add nothing.
	Hash aitbc.Hash
	// ID names the key in lists and for revocation: `key_` and a ULID.
	ID string
	// Name is for people.
	Name string
	// Scope is what it may be used for.
	Scope Scope
	// Account is whose key it is: the client's or the miner's account.
	Account aitbc.AccountID
	// Line is the id of the key that this one came from by rotation, however often; its own when by
	// none. What is spent counts for the whole line.
	Line string
	// Models are the full names of the models that jobs may ask for; none: all.
	Models []string
	// SpendPerDay is how much the jobs of one day may cost; 0: no bound.
	SpendPerDay aitbc.Amount
	// Priority is the highest that its jobs may have.
	Priority aitbc.Priority
	// CreatedAt, ExpiresAt and RevokedAt bound its life; the last two are zero when they do not.
	CreatedAt time.Time
	ExpiresAt time.Time
	RevokedAt time.Time
}

// Keys keeps API keys.
type Keys interface {
	// KeyByHash reads a key, revoked and expired ones too. Errors: ErrNotFound.
	KeyByHash(ctx context.Context, hash aitbc.Hash) (Key, error)
	// PutKey adds a key; one with the same hash is replaced.
	PutKey(ctx context.Context, k Key) error
	// ListKeys lists all keys, by id.
	ListKeys(ctx context.Context) ([]Key, error)
	// Key reads a key by its id. Errors: ErrNotFound.
	Key(ctx context.Context, id string) (Key, error)
	// RevokeKey ends a key; one that has ended keeps its first time. Errors: ErrNotFound.
	RevokeKey(ctx context.Context, id string, at time.Time) error
	// RotateKey adds a key unless it is there, and lets the one that it replaces expire at until, if
	// that does not expire earlier. Both or neither. Errors: ErrNotFound.
	RotateKey(ctx context.Context, replaced string, until time.Time, next Key) error
	// BeginKeyRequest remembers what an idempotency key stands for, unless the account has one of that
	// name that has not expired, and gives what is remembered. Begun says that the caller is to carry
	// it out: the others are told so until lease has passed since, or EndKeyRequest.
	BeginKeyRequest(ctx context.Context, r KeyRequest, now time.Time, lease time.Duration) (found KeyRequest, begun bool, err error)
	// EndKeyRequest lets the next caller begin at once; one that is not there is no error.
	EndKeyRequest(ctx context.Context, account aitbc.AccountID, requestID string) error
}

// KeyRequest is what the idempotency key of a request for an API key stands for.
type KeyRequest struct {
	// Account and RequestID name it: whose key made the call.
	Account   aitbc.AccountID
	RequestID string
	// Hash is the SHA-256 of the request.
	Hash aitbc.Hash
	// KeyID is the key's id, Seed what its secret, and an account made for it, are derived from.
	KeyID string
	Seed  aitbc.Hash
	// CreatedAt is when it was first begun, ExpiresAt when it is forgotten.
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Accounts keeps the encrypted ledger keys of custodial accounts.
type Accounts interface {
	// PutAccountKey keeps an account's encrypted key; an earlier one is replaced.
	PutAccountKey(ctx context.Context, account aitbc.AccountID, sealed []byte) error
	// AccountKey reads it. Errors: ErrNotFound.
	AccountKey(ctx context.Context, account aitbc.AccountID) ([]byte, error)
}
