package replica

import (
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

func member(id int64, chain string, seed byte) *Member {
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
	return &Member{self: id, deps: Deps{ChainID: chain, Key: key}}
}

func TestATokenIsGoodForItsReplicaAndItsTime(t *testing.T) {
	t.Parallel()
	from, to := member(1, "chain", 1), member(2, "chain", 1)
	who := auth.Principal{KeyID: "key_7", Scope: store.ScopeClient, Account: aitbc.AccountID{9}}
	token, err := from.token(auth.With(t.Context(), who), to.self)
	require.NoError(t, err)
	now := time.Now()

	got, err := to.Verify(token, now)
	require.NoError(t, err)
	require.Equal(t, who, got)
	own, err := from.token(t.Context(), to.self)
	require.NoError(t, err)
	got, err = to.Verify(own, now)
	require.NoError(t, err)
	require.Zero(t, got, "a replica's own call has no principal")

	for name, c := range map[string]struct {
		at    *Member
		token string
		now   time.Time
	}{
		"at another replica":      {member(3, "chain", 1), token, now},
		"on another chain":        {member(2, "other", 1), token, now},
		"of another operator":     {member(2, "chain", 2), token, now},
		"later":                   {to, token, now.Add(tokenLife)},
		"earlier":                 {to, token, now.Add(-tokenLife)},
		"altered":                 {to, "A" + token[1:], now},
		"signed by somebody else": {to, token[:strings.Index(token, ".")] + own[strings.Index(own, "."):], now},
		"empty":                   {to, "", now},
		"half":                    {to, token[:strings.Index(token, ".")], now},
	} {
		_, err := c.at.Verify(c.token, c.now)
		require.ErrorIs(t, err, errToken, name)
	}
}

func TestAnOutcomeTravelsWhole(t *testing.T) {
	t.Parallel()
	at := time.UnixMicro(1_700_000_000_000_001).UTC()
	for name, o := range map[string]job.Outcome{
		"escrowed": {JobID: aitbc.JobID{1}, Kind: job.SubmitJob, EscrowTx: aitbc.Hash{2}},
		"refused":  {JobID: aitbc.JobID{1}, Kind: job.SubmitJob, Refused: job.Failure{Reason: 4, Message: "no"}},
		"paid": {JobID: aitbc.JobID{1}, Kind: job.RecordReceipt, Settlement: &job.Settlement{
			Paid: 3, Refunded: 4, Height: 5, BlockTime: at, TxHash: aitbc.Hash{6}, RefundFinalAt: at, HasReceipt: true,
		}},
		"refunded in a forgotten block": {JobID: aitbc.JobID{1}, Kind: job.RefundJob, Settlement: &job.Settlement{Refunded: 4}},
	} {
		got, err := outcomeOf(outcomeMessage(o))
		require.NoError(t, err, name)
		require.Equal(t, o, got, name)
	}
	broken := outcomeMessage(job.Outcome{Kind: job.SubmitJob})
	broken.JobId = broken.JobId[1:]
	_, err := outcomeOf(broken)
	require.Error(t, err)
	broken = outcomeMessage(job.Outcome{Kind: "dance"})
	_, err = outcomeOf(broken)
	require.Error(t, err)
}
