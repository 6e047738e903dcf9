package settlement

import (
	"slices"
	"sync"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// key names a message.
type key struct {
	job  aitbc.JobID
	kind job.Message
}

// entry is a message on its way. It is in exactly one of: ready, parked, a flight.
type entry struct {
	key     key
	seq     int64
	job     job.Job
	message *ledgerv1.Message
	bytes   int
	// tries counts verdicts that decided nothing.
	tries int
	// loose is until when, in the ledger's time, an earlier transaction that holds this message
	// may still be committed, without being watched; zero: there is none.
	loose time.Time
	// due is when a parked entry is ready again.
	due time.Time
}

// flight is a transaction whose outcome is awaited. Its last three fields change, under the mirror's
// lock; the others do not.
type flight struct {
	hash    aitbc.Hash
	tx      []byte
	entries []*entry
	// expires is when it can no longer be committed, in the ledger's time.
	expires time.Time
	// again is when its bytes are sent again, by the local clock; sent counts how often they were.
	again time.Time
	sent  int
	// refused holds the verdicts of a transaction that the node's check refused.
	refused []*ledgerv1.MessageResult
}

// mirror is the outbox in memory, as far as it is being worked at. Its methods are safe for
// concurrent use; time is an argument.
type mirror struct {
	config Config

	mu      sync.Mutex
	known   map[key]*entry
	ready   []*entry // oldest first
	parked  []*entry // any order
	flights []*flight
	// gone are the messages that left while a page of the outbox was being read: the page may
	// still show them. Nil when none is being read.
	gone map[key]bool
}

func newMirror(config Config) *mirror { return &mirror{config: config, known: make(map[key]*entry)} }

// room reports whether another page of the outbox may be loaded.
func (m *mirror) room() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.ready) < m.config.MaxMessages
}

// beginLoad must be called before a page of the outbox is read, endLoad when it was added.
func (m *mirror) beginLoad() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = make(map[key]bool)
}

func (m *mirror) endLoad() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = nil
}

// has reports whether a message of the page needs no adding.
func (m *mirror) has(k key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[k] != nil || m.gone[k]
}

// add makes a new message ready.
func (m *mirror) add(e *entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[e.key] == nil && !m.gone[e.key] {
		m.known[e.key] = e
		m.ready = append(m.ready, e)
	}
}

// take gives the messages of the next transaction; none when nothing is ready or enough is in
// flight. The caller puts them into a flight or gives them back.
func (m *mirror) take(now time.Time) []*entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wake(now)
	if len(m.flights) >= m.config.MaxInFlight {
		return nil
	}
	n, bytes := 0, 0
	for _, e := range m.ready {
		if bytes += e.bytes; n == m.config.MaxMessages || (n > 0 && bytes > m.config.MaxTxBytes) {
			break
		}
		n++
	}
	taken := slices.Clone(m.ready[:n])
	m.ready = slices.Delete(m.ready, 0, n)
	return taken
}

// wake makes parked messages ready whose time has come; m.mu is held.
func (m *mirror) wake(now time.Time) {
	m.parked = slices.DeleteFunc(m.parked, func(e *entry) bool {
		due := !now.Before(e.due)
		if due {
			m.ready = append(m.ready, e)
		}
		return due
	})
}

// giveBack makes messages ready again, before all others.
func (m *mirror) giveBack(entries []*entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ready = slices.Insert(m.ready, 0, entries...)
}

// park keeps a message until due. When too many are kept already it is forgotten: the next sweep
// of the outbox finds it.
func (m *mirror) park(e *entry, due time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.parked) >= m.config.MaxParked {
		delete(m.known, e.key)
		return
	}
	e.due = due
	m.parked = append(m.parked, e)
}

// depart begins a flight; it comes before the broadcast, since a block may come before its answer.
func (m *mirror) depart(f *flight) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flights = append(m.flights, f)
}

// land ends a flight. Its messages are the caller's.
func (m *mirror) land(f *flight) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flights = slices.DeleteFunc(m.flights, func(other *flight) bool { return other == f })
}

// refuse notes the verdicts of a node that did not take the transaction.
func (m *mirror) refuse(f *flight, results []*ledgerv1.MessageResult) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f.refused = results
}

// attempt counts one more broadcast and gives how many there were before.
func (m *mirror) attempt(f *flight) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	f.sent++
	return f.sent - 1
}

// resend sets when the transaction is broadcast again.
func (m *mirror) resend(f *flight, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f.again = at
}

// sighting is a flight as it was at one moment.
type sighting struct {
	*flight
	again   time.Time
	refused []*ledgerv1.MessageResult
}

// sky gives the flights, oldest first.
func (m *mirror) sky() []sighting {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]sighting, len(m.flights))
	for i, f := range m.flights {
		list[i] = sighting{f, f.again, f.refused}
	}
	return list
}

// settled forgets messages that have left the outbox.
func (m *mirror) settled(entries []*entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		delete(m.known, e.key)
		if m.gone != nil {
			m.gone[e.key] = true
		}
	}
}

// counts gives what waits, what is parked and how many transactions are in flight.
func (m *mirror) counts() (ready, parked, flights int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.ready), len(m.parked), len(m.flights)
}

// nextDue is when the first parked message is due; zero: none is.
func (m *mirror) nextDue() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	var first time.Time
	for _, e := range m.parked {
		if first.IsZero() || e.due.Before(first) {
			first = e.due
		}
	}
	return first
}
