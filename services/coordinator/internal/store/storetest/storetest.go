// Package storetest is the specification of store.Store as tests. Every implementation is held to
// it by one call of Run; a fault found in one implementation becomes a case here, for all.
//
// Start with Run. Samples of jobs are filled by reflection, so a field that an implementation does
// not keep fails the round trip without anybody having thought of it.
package storetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// Database is where a store keeps its data.
type Database struct {
	// Open opens the store, again after it was closed.
	Open func(t testing.TB) store.Store
	// Crash opens what would be left if the process that has the store open died at this moment;
	// that one stays open.
	Crash func(t testing.TB) store.Store
	// Replicas is how many stores may have it open at once; 0: one.
	Replicas int
	// Clear empties it, where that is faster than making another; nil: it is not. No store is open.
	Clear func(t testing.TB)
}

// Run holds an implementation to the contract. empty makes a new, empty database; what it and the
// Database's functions open is closed by their own t.Cleanup if the test has not closed it.
func Run(t *testing.T, empty func(t testing.TB) Database) {
	t.Helper()
	cases := []struct {
		name string
		run  func(t *testing.T, db Database)
	}{
		{"every field of a job comes back", testEveryField},
		{"a job in memory is one from the disk", testAsStored},
		{"an update keeps what was ordered, accepted and settled", testUpdateKeeps},
		{"a job id is taken once", testJobExists},
		{"what is not there is not found", testNotFound},
		{"a change that fails writes nothing", testAbort},
		{"a payload comes back", testPayload},
		{"a result comes back byte for byte and stays", testResult},
		{"what is kept of a job's past comes back in order", testSteps},
		{"books that do not balance are refused", testRefused},
		{"jobs are listed newest first, page by page", testJobs},
		{"live jobs are those that are not done", testLive},
		{"jobs are counted by status", testCounts},
		{"the outbox keeps order and owes each message once", testOutbox},
		{"an idempotency key is remembered until it is forgotten", testRequests},
		{"jobs wait in lines", testWaiting},
		{"what miners hold is found", testHeld},
		{"a client's escrows are summed", testEscrows},
		{"a replica that is alone does everything", testJoin},
		{"prompts and results are deleted in the order of the ends", testPurge},
		{"API keys", testKeys},
		{"API keys are rotated", testRotation},
		{"requests for API keys are carried out by one at a time", testKeyRequests},
		{"what budgets spend is added up by day", testSpending},
		{"account keys", testAccountKeys},
		{"everything is there after a restart", testReopen},
		{"a crash loses nothing committed and keeps nothing else", testCrash},
		{"readers see committed state only", testIsolation},
		{"many callers share a committer", testCommitter},
		{"a change that breaks a rule fails alone", testViolation},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, empty(t))
		})
	}
	t.Run("random changes leave what a map would hold", func(t *testing.T) {
		t.Parallel()
		testModel(t, empty)
	})
}

// RunShared holds a database that several stores may have open at once to what Run does not ask of one
// that only one may have.
func RunShared(t *testing.T, empty func(t testing.TB) Database) {
	t.Helper()
	t.Run("replicas take over from each other, and who was left behind is fenced", func(t *testing.T) {
		t.Parallel()
		testReplicas(t, empty(t))
	})
	t.Run("replicas spend no more of a budget than there is", func(t *testing.T) {
		t.Parallel()
		testSharedSpending(t, empty(t))
	})
}

func update(t testing.TB, st store.Store, fn func(tx store.Tx) error) {
	t.Helper()
	require.NoError(t, st.Update(t.Context(), fn))
}
