package spool_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

var (
	noon   = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	limits = spool.Limits{Accepted: 2, Evidence: 2}
)

func record(t *testing.T, number byte) spool.Record {
	t.Helper()
	job := aitbc.JobID{15: number}
	order := aitbc.Order{ChainID: "chain", JobID: job, SettleByUS: noon.UnixMicro()}
	return spool.Record{
		Lease: &coordinatorv1.Lease{
			LeaseId: job.LeaseID(1), JobId: job.String(), Attempt: 1, Body: []byte("lease"),
			OrderBody: order.SigningBytes(), Prompt: "secret question",
		},
		Result: &coordinatorv1.AttemptResult{LeaseId: job.LeaseID(1), Result: "secret answer", StatementBody: []byte("statement")},
	}
}

func open(t *testing.T, dir string) *spool.Spool {
	t.Helper()
	s, err := spool.Open(dir, limits)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() }) // the test may have closed it already
	return s
}

// reopen is what a restart does.
func reopen(t *testing.T, s *spool.Spool, dir string) *spool.Spool {
	t.Helper()
	require.NoError(t, s.Close())
	return open(t, dir)
}

func TestAResultSurvivesARestartUntilItIsAccepted(t *testing.T) {
	dir := t.TempDir()
	s, want := open(t, dir), record(t, 1)
	id := want.Lease.GetLeaseId()
	require.NoError(t, s.Put(want))

	s = reopen(t, s, dir)
	require.Equal(t, []string{id}, s.Waiting())
	got, err := s.Get(id)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want, got, protocmp.Transform()))

	acceptance := &coordinatorv1.Acceptance{Body: []byte("accepted"), MeteredUs: 7}
	require.NoError(t, s.Accept(id, acceptance, noon))
	require.Empty(t, s.Waiting())

	s = reopen(t, s, dir)
	require.Empty(t, s.Waiting())
	require.Equal(t, spool.Accepted, s.State(id))
	kept, err := s.Claimable(id)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(acceptance, kept.Acceptance, protocmp.Transform()))
	require.Equal(t, want.Result.GetStatementBody(), kept.Result.GetStatementBody())
	require.Empty(t, kept.Lease.GetPrompt(), "the prompt is nobody's business any more")
	require.Empty(t, kept.Result.GetResult())
}

func TestALeaseGetsOneStatementForEver(t *testing.T) {
	steps := map[string]func(*spool.Spool, string) error{
		"while it waits":       func(*spool.Spool, string) error { return nil },
		"after acceptance":     func(s *spool.Spool, id string) error { return s.Accept(id, &coordinatorv1.Acceptance{}, noon) },
		"after its revocation": func(s *spool.Spool, id string) error { return s.Revoke(id, noon) },
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, r := open(t, dir), record(t, 1)
			require.NoError(t, s.Put(r))
			require.NoError(t, step(s, r.Lease.GetLeaseId()))
			require.ErrorIs(t, s.Put(r), spool.ErrExists)
			require.ErrorIs(t, reopen(t, s, dir).Put(r), spool.ErrExists)
		})
	}
}

func TestACrashLeavesNoHalfRecord(t *testing.T) {
	dir := t.TempDir()
	s, r := open(t, dir), record(t, 1)
	id := r.Lease.GetLeaseId()
	require.NoError(t, s.Put(r))
	waiting := filepath.Join(dir, "waiting", id)
	content, err := os.ReadFile(waiting)
	require.NoError(t, err)
	require.NoError(t, s.Accept(id, &coordinatorv1.Acceptance{}, noon))

	// Killed after the acceptance was written and before the result was removed, and in the middle
	// of writing another.
	require.NoError(t, os.WriteFile(waiting, content, 0o600))
	half := filepath.Join(dir, "waiting", record(t, 2).Lease.GetLeaseId()+".unfinished")
	require.NoError(t, os.WriteFile(half, content[:10], 0o600))
	s = reopen(t, s, dir)
	require.Empty(t, s.Waiting())
	require.Equal(t, spool.Accepted, s.State(id))
	require.NoFileExists(t, waiting)
	require.NoFileExists(t, half)
}

func TestOldRecordsGoButNotBeforeTheirDeadline(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	accept := func(number byte, now time.Time) {
		r := record(t, number)
		require.NoError(t, s.Put(r))
		require.NoError(t, s.Accept(r.Lease.GetLeaseId(), &coordinatorv1.Acceptance{}, now))
	}
	for number := byte(1); number <= 4; number++ {
		accept(number, noon.Add(time.Hour))
	}
	require.Equal(t, spool.Accepted, s.State(record(t, 1).Lease.GetLeaseId()), "it can still be claimed")

	accept(5, noon.Add(25*time.Hour))
	for number := byte(1); number <= 3; number++ {
		require.Equal(t, spool.None, s.State(record(t, number).Lease.GetLeaseId()))
	}
	require.Equal(t, spool.Accepted, s.State(record(t, 4).Lease.GetLeaseId()))
	entries, err := os.ReadDir(filepath.Join(dir, "accepted"))
	require.NoError(t, err)
	require.Len(t, entries, limits.Accepted)
}

func TestTwoProcessesCannotShareASpool(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := spool.Open(dir, limits)
	require.ErrorIs(t, err, spool.ErrLocked)
}

func TestAnIDThatIsNoLeaseNeverBecomesAFile(t *testing.T) {
	r := record(t, 1)
	r.Lease.LeaseId = "../escape"
	require.ErrorIs(t, open(t, t.TempDir()).Put(r), aitbc.ErrMalformed)
}

func TestADamagedRecordIsAnErrorAndStaysKnown(t *testing.T) {
	dir := t.TempDir()
	s, r := open(t, dir), record(t, 1)
	id := r.Lease.GetLeaseId()
	require.NoError(t, s.Put(r))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "waiting", id), []byte("\xff\xff"), 0o600))
	s = reopen(t, s, dir)
	_, err := s.Get(id)
	require.Error(t, err)
	require.ErrorIs(t, s.Put(r), spool.ErrExists)
}
