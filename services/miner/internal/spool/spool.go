package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/crash"
)

var (
	// ErrNotFound says that no such record waits.
	ErrNotFound = errors.New("no such result in the spool")
	// ErrExists says that the lease already has its one statement.
	ErrExists = errors.New("the lease already has a statement")
	// ErrLocked says that another process uses the folder.
	ErrLocked = errors.New("another process uses the spool")
)

// State is where a lease's record is.
type State int

// The states, as in the package comment.
const (
	None State = iota
	Waiting
	Accepted
	Evidence
)

// settleMargin is how long after the settlement deadline, by this machine's clock, a record is
// kept: the ledger's clock may lag, by outages too.
const settleMargin = 24 * time.Hour

// Forgotten reports whether a job's records may have been dropped: its leases must not run again.
func Forgotten(settleBy, now time.Time) bool { return !now.Before(settleBy.Add(settleMargin)) }

// Limits bound what is kept after a result left the queue.
type Limits struct {
	// Accepted and Evidence are how many records of each are kept beyond their settlement deadline.
	Accepted, Evidence int
}

// Spool is a folder of records. Its methods may be called at once.
type Spool struct {
	dir    string
	limits map[State]int
	lock   *os.File

	mu     sync.Mutex
	states map[string]State
	kept   map[State][]string // ids by age, oldest first
}

// Open opens a folder, or makes it. Errors: [ErrLocked].
func Open(dir string, limits Limits) (*Spool, error) {
	s := &Spool{
		dir:    dir,
		limits: map[State]int{Accepted: limits.Accepted, Evidence: limits.Evidence},
		states: map[string]State{},
		kept:   map[State][]string{},
	}
	for _, state := range []State{Waiting, Accepted, Evidence} {
		if err := os.MkdirAll(s.folder(state), 0o700); err != nil {
			return nil, fmt.Errorf("open spool: %w", err)
		}
	}
	var err error
	if s.lock, err = lockFolder(dir); err != nil {
		return nil, err
	}
	// In this order, so that a crash between writing the new place and leaving the old is finished.
	for _, state := range []State{Waiting, Accepted, Evidence} {
		if err := s.scan(state); err != nil {
			return nil, errors.Join(fmt.Errorf("open spool: %w", err), s.lock.Close())
		}
	}
	return s, nil
}

// Close lets go of the folder.
func (s *Spool) Close() error {
	if err := s.lock.Close(); err != nil {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}

func (s *Spool) folder(state State) string {
	return filepath.Join(s.dir, map[State]string{Waiting: "waiting", Accepted: "accepted", Evidence: "evidence"}[state])
}

func (s *Spool) path(state State, id string) string { return filepath.Join(s.folder(state), id) }

// scan takes over what a folder holds.
func (s *Spool) scan(state State) error {
	entries, err := os.ReadDir(s.folder(state))
	if err != nil {
		return fmt.Errorf("list records: %w", err)
	}
	ages := map[string]time.Time{}
	for _, entry := range entries {
		id := entry.Name()
		if strings.HasSuffix(id, unfinished) {
			if err := os.Remove(s.path(state, id)); err != nil {
				return fmt.Errorf("remove an unfinished record: %w", err)
			}
			continue
		}
		if _, _, err := aitbc.ParseLeaseID(id); err != nil {
			return fmt.Errorf("%s is no record: %w", s.path(state, id), err)
		}
		info, err := entry.Info()
		if err != nil {
			return fmt.Errorf("look at a record: %w", err)
		}
		ages[id] = info.ModTime()
		if s.states[id] == Waiting {
			if err := s.leaveWaiting(id); err != nil {
				return err
			}
		}
		s.states[id] = state
		s.kept[state] = append(s.kept[state], id)
	}
	slices.SortFunc(s.kept[state], func(a, b string) int {
		return cmp.Or(ages[a].Compare(ages[b]), strings.Compare(a, b))
	})
	return nil
}

// Put makes a signed result durable. Errors: [ErrExists].
func (s *Spool) Put(r Record) error {
	id := r.Lease.GetLeaseId()
	if _, _, err := aitbc.ParseLeaseID(id); err != nil {
		return fmt.Errorf("spool a result: %w", err) // the id becomes a file's name
	}
	content, err := r.encode()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.states[id] != None {
		return fmt.Errorf("spool the result of %s: %w", id, ErrExists)
	}
	// Marked first: after a write that failed half-way nobody knows whether it is on the disk.
	s.states[id] = Waiting
	crash.At("miner/result/before")
	if err := writeDurably(s.folder(Waiting), id, content); err != nil {
		return fmt.Errorf("spool the result of %s: %w", id, err)
	}
	crash.At("miner/result/after")
	s.kept[Waiting] = append(s.kept[Waiting], id)
	return nil
}

// State says where a lease's record is.
func (s *Spool) State(id string) State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.states[id]
}

// Waiting lists the leases whose results wait for an answer, oldest first.
func (s *Spool) Waiting() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept[Waiting])
}

// AcceptedIDs lists the leases whose results were accepted and are kept, oldest first.
func (s *Spool) AcceptedIDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept[Accepted])
}

// Get reads a waiting record. Errors: [ErrNotFound].
func (s *Spool) Get(id string) (Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read(Waiting, id)
}

// Lease gives the terms of a record's lease, wherever the record is. Errors: [ErrNotFound]; those of a
// record that is damaged.
func (s *Spool) Lease(id string) (aitbc.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.states[id] == None {
		return aitbc.Lease{}, fmt.Errorf("read %s: %w", id, ErrNotFound)
	}
	r, err := s.read(s.states[id], id)
	if err != nil {
		return aitbc.Lease{}, err
	}
	lease, err := aitbc.ParseLease(r.Lease.GetBody())
	if err != nil {
		return aitbc.Lease{}, fmt.Errorf("read the lease of %s: %w", id, err)
	}
	return lease, nil
}

// Claimable reads an accepted record: what is needed to claim the pay. Errors: [ErrNotFound].
func (s *Spool) Claimable(id string) (Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read(Accepted, id)
}

func (s *Spool) read(state State, id string) (Record, error) {
	if s.states[id] != state {
		return Record{}, fmt.Errorf("read %s: %w", id, ErrNotFound)
	}
	content, err := os.ReadFile(s.path(state, id))
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, fmt.Errorf("read %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return Record{}, fmt.Errorf("read %s: %w", id, err)
	}
	r, err := decode(content)
	if err != nil {
		return Record{}, fmt.Errorf("read %s: %w", s.path(state, id), err)
	}
	return r, nil
}

// Accept keeps the operator's acceptance in place of the answer. now decides what is old enough to
// go. Errors: [ErrNotFound].
func (s *Spool) Accept(id string, acceptance *coordinatorv1.Acceptance, now time.Time) error {
	return s.move(id, Accepted, acceptance, now)
}

// Revoke keeps the statement as evidence. Errors: [ErrNotFound].
func (s *Spool) Revoke(id string, now time.Time) error { return s.move(id, Evidence, nil, now) }

func (s *Spool) move(id string, to State, acceptance *coordinatorv1.Acceptance, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.read(Waiting, id)
	if err != nil {
		return err
	}
	r.Acceptance = acceptance
	content, err := r.stripped().encode()
	if err != nil {
		return err
	}
	crash.At("miner/accept/before")
	if err := writeDurably(s.folder(to), id, content); err != nil {
		return fmt.Errorf("move %s: %w", id, err)
	}
	crash.At("miner/accept/between")
	if err := s.leaveWaiting(id); err != nil {
		return err
	}
	crash.At("miner/accept/after")
	s.states[id] = to
	s.kept[to] = append(s.kept[to], id)
	return s.prune(to, now)
}

// leaveWaiting needs no sync of the folder: should the removal be lost, the next Open repeats it.
func (s *Spool) leaveWaiting(id string) error {
	if err := os.Remove(s.path(Waiting, id)); err != nil {
		return fmt.Errorf("remove a sent result: %w", err)
	}
	s.kept[Waiting] = slices.DeleteFunc(s.kept[Waiting], func(other string) bool { return other == id })
	return nil
}

// prune drops the oldest records beyond the bound whose jobs can no longer be settled.
func (s *Spool) prune(state State, now time.Time) error {
	for len(s.kept[state]) > s.limits[state] {
		id := s.kept[state][0]
		r, err := s.read(state, id)
		if err != nil {
			return fmt.Errorf("drop an old record: %w", err)
		}
		settleBy, err := r.settleBy()
		if err != nil {
			return fmt.Errorf("drop an old record: %w", err)
		}
		if !Forgotten(settleBy, now) {
			return nil
		}
		if err := os.Remove(s.path(state, id)); err != nil {
			return fmt.Errorf("drop an old record: %w", err)
		}
		delete(s.states, id)
		s.kept[state] = s.kept[state][1:]
	}
	return nil
}
