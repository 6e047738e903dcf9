package session_test

import (
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/coordinatortest"
)

// requireRunning checks a running statement about this text and gives it.
func (s *setup) requireRunning(t *testing.T, lease *coordinatorv1.Lease, progress *coordinatorv1.AttemptProgress, text string) aitbc.Statement {
	t.Helper()
	require.Equal(t, lease.GetLeaseId(), progress.GetLeaseId())
	require.True(t, aitbc.Verify(s.key.Public().(ed25519.PublicKey), progress.GetStatementBody(), progress.GetStatementSignature()))
	_, err := aitbc.ParseStatement(progress.GetStatementBody())
	require.ErrorIs(t, err, aitbc.ErrMalformed, "it is no final statement")
	statement, err := aitbc.ParseAnyStatement(progress.GetStatementBody())
	require.NoError(t, err)
	require.True(t, statement.Running)
	require.EqualValues(t, len(text), progress.GetTextBytes())
	want := aitbc.Commitment(aitbc.Salt(lease.GetSalt()), aitbc.ResultHash([]byte(text+progress.GetEnding())))
	require.Equal(t, want, statement.ResultCommitment)
	return statement
}

func TestAMinerSignsForWhatItHasSaidEverySecondAndEvery64Tokens(t *testing.T) {
	for name, watched := range map[string]bool{"watched": true, "watched by nobody": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, words := dictated(t)
			s.start(t)
			talk := s.coordinator.Session(t)
			lease := s.lease(t, s.digest(t, talk), coordinatortest.Job{Prompt: "dictate"})
			talk.Offer(t, lease)
			if watched {
				talk.Ask(t, lease.GetLeaseId(), 0)
			}
			began := time.Now()
			words <- "one "
			words <- "two "
			if watched {
				talk.Text(t, lease.GetLeaseId(), 0, "one two ")
			}
			first := talk.Progress(t)
			require.Greater(t, time.Since(began), 800*time.Millisecond, "not for each token")
			one := s.requireRunning(t, lease, first, "one two ")
			require.EqualValues(t, 2, one.OutputTokens)

			for range 64 {
				words <- "x"
			}
			two := s.requireRunning(t, lease, talk.Progress(t), "one two "+strings.Repeat("x", 64))
			require.EqualValues(t, 66, two.OutputTokens)
			require.GreaterOrEqual(t, two.ComputeUS, one.ComputeUS)
			close(words)
			coordinatortest.RequireStatement(t, s.key, lease, talk.Result(t))
		})
	}
}
