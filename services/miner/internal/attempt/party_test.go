package attempt_test

import (
	"context"
	"crypto/ed25519"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
	"github.com/aitbc/aitbc/services/miner/internal/coordinatortest"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

// stranger is another operator that the miner works for.
func stranger(t *testing.T) (coordinatortest.Operator, attempt.Operator) {
	t.Helper()
	o := coordinatortest.NewOperator(t)
	key := o.Key.Public().(ed25519.PublicKey)
	return o, attempt.Operator{ChainID: coordinatortest.ChainID, ID: aitbc.AccountOf(key), Key: key}
}

func requireNothing(t *testing.T, r attempt.Report) {
	t.Helper()
	require.Empty(t, r.State.GetRunningLeaseIds())
	require.Empty(t, r.State.GetFinishedLeaseIds())
	require.Empty(t, r.Starts)
	require.Empty(t, r.Results)
	require.Empty(t, r.Failures)
}

func TestARunningLeaseIsItsOperatorsAffair(t *testing.T) {
	b := newBench(t, attempt.Config{}, nil)
	lease := b.lease(t)
	b.Offer(b.op(), lease)
	o, other := stranger(t)
	requireNothing(t, b.ReportTo(other))
	require.Zero(t, b.ReportTo(other).State.GetSlots(), "the slot is taken all the same")
	require.EqualValues(t, 1, b.ReportTo(b.op()).State.GetSlots())
	require.Empty(t, b.Said(other, lease.GetLeaseId(), 0))

	require.NoError(t, b.Revoke(other, lease.GetLeaseId(), false))
	require.Equal(t, []string{lease.GetLeaseId()}, b.ReportTo(b.op()).State.GetRunningLeaseIds())

	// An id is no secret: anybody can give it to a lease of its own.
	id, _, err := aitbc.ParseLeaseID(lease.GetLeaseId())
	require.NoError(t, err)
	same := o.Lease(t, coordinatortest.Job{Miner: coordinatortest.Account(b.miner), Model: modelName, Digest: digest, ID: id})
	require.Equal(t, lease.GetLeaseId(), same.GetLeaseId())
	b.Offer(other, same)
	require.Len(t, b.ReportTo(other).Failures, 1)
	require.Empty(t, b.ReportTo(b.op()).Failures)
	b.FailureTold(other, lease.GetLeaseId())
	require.Empty(t, b.Report().Failures)
}

func TestAFailureIsToldToItsOperatorOnly(t *testing.T) {
	b := newBench(t, attempt.Config{Models: []string{"other"}}, nil)
	lease := b.lease(t)
	b.Offer(b.op(), lease)
	_, other := stranger(t)
	requireNothing(t, b.ReportTo(other))
	b.FailureTold(other, lease.GetLeaseId())
	require.Len(t, b.ReportTo(b.op()).Failures, 1)
}

func TestAResultIsItsOperatorsAffair(t *testing.T) {
	b := newBench(t, attempt.Config{}, func(context.Context) (executor.Answer, error) {
		return executor.Answer{Text: []byte("done"), OutputTokens: 1, Complete: true}, nil
	})
	lease := b.lease(t)
	b.runUntil(t, lease, func(r attempt.Report) bool { return len(r.Results) == 1 })
	o, other := stranger(t)
	requireNothing(t, b.ReportTo(other))
	require.Len(t, b.ReportTo(b.op()).Results, 1)

	require.NoError(t, b.Revoke(other, lease.GetLeaseId(), false))
	result, err := b.Result(lease.GetLeaseId())
	require.NoError(t, err)
	statement, err := aitbc.ParseStatement(result.GetStatementBody())
	require.NoError(t, err)
	body := aitbc.Acceptance{ChainID: coordinatortest.ChainID, JobID: statement.JobID, StatementHash: statement.Hash(), MeteredUS: 1}.SigningBytes()
	signed := func(key ed25519.PrivateKey) *coordinatorv1.Acceptance {
		return &coordinatorv1.Acceptance{Body: body, Signature: aitbc.Sign(key, body)}
	}
	require.ErrorContains(t, b.Accept(other, lease.GetLeaseId(), signed(o.Key)), "another operator's")
	require.Equal(t, spool.Waiting, b.spool.State(lease.GetLeaseId()), "its pay is still to be had")

	require.NoError(t, b.Accept(b.op(), lease.GetLeaseId(), signed(b.operator.Key)))
	require.Equal(t, spool.Accepted, b.spool.State(lease.GetLeaseId()))
}
