package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/session"
)

type answered struct {
	answer *coordinatorv1.JobClaimAnswer
	err    error
}

// claim claims in the background.
func (m *miner) claim(ctx context.Context, jobID string) <-chan answered {
	answers := make(chan answered, 1)
	go func() {
		answer, err := m.session.Claim(ctx, &coordinatorv1.JobClaim{JobId: jobID, Type: "inference", Prompt: "p", Model: "m"})
		answers <- answered{answer, err}
	}()
	return answers
}

func TestAClaimGetsItsAnswer(t *testing.T) {
	s := onFake(t)
	m := s.start(t)
	talk := s.coordinator.Session(t)
	awaitConnected(t, m)
	answers := m.claim(t.Context(), "job_1")
	require.Equal(t, "job_1", talk.Claim(t).GetJobId())

	_, err := m.session.Claim(t.Context(), &coordinatorv1.JobClaim{JobId: "job_1"})
	require.ErrorIs(t, err, session.ErrBusy, "answers name the job only, so one claim for it at a time")

	talk.Answer(t, &coordinatorv1.JobClaimAnswer{JobId: "job_of_nobody", LeaseId: "lease_0"})
	talk.Answer(t, &coordinatorv1.JobClaimAnswer{JobId: "job_1", Reason: "WRONG_STATE"})
	got := <-answers
	require.NoError(t, got.err)
	require.Equal(t, "WRONG_STATE", got.answer.GetReason())
}

func TestAClaimEndsWithItsSession(t *testing.T) {
	s := onFake(t)
	m := s.start(t)
	talk := s.coordinator.Session(t)
	awaitConnected(t, m)
	answers := m.claim(t.Context(), "job_1")
	talk.Claim(t)
	talk.Drop()
	require.ErrorIs(t, (<-answers).err, session.ErrNoSession)
}

func TestAClaimEndsWithItsCaller(t *testing.T) {
	s := onFake(t)
	m := s.start(t)
	talk := s.coordinator.Session(t)
	awaitConnected(t, m)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	answers := m.claim(ctx, "job_1")
	talk.Claim(t)
	require.ErrorIs(t, (<-answers).err, context.DeadlineExceeded)
}

func TestThereIsNobodyToAskWithoutASession(t *testing.T) {
	s := onFake(t)
	s.coordinator.Stop()
	m := s.start(t)
	_, err := m.session.Claim(t.Context(), &coordinatorv1.JobClaim{JobId: "job_1"})
	require.ErrorIs(t, err, session.ErrNoSession)
}
