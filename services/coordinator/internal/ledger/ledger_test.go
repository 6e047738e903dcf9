package ledger_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger"
	"github.com/aitbc/aitbc/services/coordinator/internal/ledger/ledgertest"
)

const chainID = "ledger-test"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func signer(b byte) ledger.Signer {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = b
	key := ed25519.NewKeyFromSeed(seed)
	return ledger.Signer{Account: aitbc.AccountOf(key.Public().(ed25519.PublicKey)), Key: key}
}

// inBubble runs a test with a chain and a client that follows it.
func inBubble(t *testing.T, test func(t *testing.T, chain *ledgertest.Chain, client *ledger.Client)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chain := ledgertest.New(chainID)
		client, err := ledger.New(ledger.DefaultConfig(), chain, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- client.Run(ctx) }()
		synctest.Wait()
		test(t, chain, client)
		cancel()
		require.NoError(t, <-ended)
	})
}

func elapse(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func transfer(to aitbc.AccountID, amount aitbc.Amount) *ledgerv1.Message {
	return &ledgerv1.Message{Message: &ledgerv1.Message_Transfer{
		Transfer: &ledgerv1.Transfer{To: to[:], AmountUaitbc: int64(amount)},
	}}
}

func TestHeadFollowsEveryBlock(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, client *ledger.Client) {
		for height := int64(1); height < 5; height++ {
			head, err := client.Head()
			require.NoError(t, err)
			require.Equal(t, height, head.Height)
			require.Equal(t, chain.Now(), head.LedgerTime)
			require.Equal(t, chainID, head.ChainID)
			require.Equal(t, ledgertest.RefundWindow.Microseconds(), head.Params.GetRefundWindowUs())
			chain.Block(time.Second)
			synctest.Wait()
		}
	})
}

func TestSilentSubscriptionIsReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, client *ledger.Client) {
		chain.Deafen()
		chain.Block(time.Second)
		elapse(ledger.DefaultConfig().SilentAfter)
		head, err := client.Head()
		require.NoError(t, err)
		require.Equal(t, int64(2), head.Height, "found by asking")
		chain.Block(time.Second)
		synctest.Wait()
		head, err = client.Head()
		require.NoError(t, err)
		require.Equal(t, int64(3), head.Height, "announced again")
	})
}

func TestChainWithoutSubscriptionsIsPolled(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, client *ledger.Client) {
		chain.Hooks(func(op ledgertest.Op) error {
			if op == ledgertest.OpSubscribe {
				return errors.New("too many subscribers")
			}
			return nil
		}, nil)
		chain.Deafen()
		for range 4 {
			chain.Block(time.Second)
			elapse(2 * ledger.DefaultConfig().SilentAfter)
		}
		head, err := client.Head()
		require.NoError(t, err)
		require.Equal(t, int64(5), head.Height)
	})
}

func TestStalledChainIsUnavailable(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, client *ledger.Client) {
		elapse(ledger.DefaultConfig().StalledAfter + time.Second)
		_, err := client.Head()
		var away *ledger.UnavailableError
		require.ErrorAs(t, err, &away)
		require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE, away.Reason())
		require.NotContains(t, away.Error(), "refused")
		chain.Block(time.Second)
		synctest.Wait()
		_, err = client.Head()
		require.NoError(t, err)
	})
}

func TestNodeAwayAndBack(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, client *ledger.Client) {
		chain.Away(true)
		_, err := client.Status(t.Context())
		var away *ledger.UnavailableError
		require.ErrorAs(t, err, &away)
		require.ErrorIs(t, err, ledgertest.ErrAway)
		require.Contains(t, ledger.Detail(err), "connection refused")
		elapse(time.Minute)
		chain.Away(false)
		chain.Block(time.Second)
		elapse(2 * ledger.DefaultConfig().PollEvery)
		head, err := client.Head()
		require.NoError(t, err)
		require.Equal(t, int64(2), head.Height)
	})
}

func TestAnotherChainIsRefusedForGood(t *testing.T) {
	t.Parallel()
	config := ledger.DefaultConfig()
	config.ChainID = "mine"
	client, err := ledger.New(config, ledgertest.New("another"), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	err = client.Run(t.Context())
	require.ErrorIs(t, err, ledger.ErrWrongChain)
	require.ErrorContains(t, err, `"another"`)
}

func TestQueryErrorsAreToldApart(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, client *ledger.Client) {
		_, err := client.Account(t.Context(), signer(9).Account)
		require.ErrorIs(t, err, ledger.ErrNotFound)
		var answer ledgerv1.GetStatusResponse
		err = client.Query(t.Context(), "/aitbc.ledger.v1.LedgerService/Nonsense", &ledgerv1.GetStatusRequest{}, &answer)
		var query *ledger.QueryError
		require.ErrorAs(t, err, &query)
		require.Equal(t, uint32(12), query.Code)
	})
}

func TestBroadcastErrorsAreToldApart(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, client *ledger.Client) {
		rich := signer(1)
		chain.Fund(rich.Account, 10)
		sign := func(amount aitbc.Amount, expires time.Time) []byte {
			tx, _, err := aitbc.SignTx(rich.Key, &ledgerv1.TxBody{
				Version: 1, ChainId: chainID, Signer: rich.Account[:], ExpiresUs: expires.UnixMicro(),
				Sequence: 1, Messages: []*ledgerv1.Message{transfer(signer(2).Account, amount)},
			})
			require.NoError(t, err)
			return tx
		}
		soon := chain.Now().Add(time.Minute)
		var refused *ledger.RefusedError
		require.ErrorAs(t, client.Broadcast(t.Context(), sign(11, soon)), &refused)
		require.Equal(t, ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_FUNDS, refused.Results[0].GetCode())
		require.ErrorAs(t, client.Broadcast(t.Context(), sign(1, chain.Now().Add(-time.Second))), &refused)
		require.Equal(t, ledgerv1.ResultCode_RESULT_CODE_EXPIRED, refused.Code)
		require.Empty(t, refused.Results, "the transaction itself is at fault")
		chain.Full(true)
		require.ErrorIs(t, client.Broadcast(t.Context(), sign(1, soon)), ledger.ErrMempoolFull)
		chain.Full(false)
		require.NoError(t, client.Broadcast(t.Context(), sign(1, soon)))
		require.NoError(t, client.Broadcast(t.Context(), sign(1, soon)), "again is as good as once")
		require.Equal(t, aitbc.Amount(1), chain.Balance(signer(2).Account))
		require.ErrorContains(t, client.Broadcast(t.Context(), make([]byte, ledger.MaxTxBytes+1)), "at most")
	})
}

func TestBytesThatAreInABlockNeedNoMempool(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, client *ledger.Client) {
		rich := signer(1)
		chain.Fund(rich.Account, 10)
		tx, hash, err := aitbc.SignTx(rich.Key, &ledgerv1.TxBody{
			Version: aitbc.TxVersion, ChainId: chainID, Signer: rich.Account[:],
			ExpiresUs: chain.Now().Add(time.Minute).UnixMicro(), Messages: []*ledgerv1.Message{transfer(signer(2).Account, 3)},
		})
		require.NoError(t, err)
		require.NoError(t, client.Broadcast(t.Context(), tx))
		require.NoError(t, client.Broadcast(t.Context(), tx), "the node remembers it")
		chain.LoseMempool()
		require.NoError(t, client.Broadcast(t.Context(), tx), "the ledger does")
		answer, err := client.Transaction(t.Context(), hash)
		require.NoError(t, err)
		require.Zero(t, answer.GetCode())
		require.Equal(t, aitbc.Amount(7), chain.Balance(rich.Account))
	})
}

func TestExecuteHappensOnce(t *testing.T) {
	t.Parallel()
	errLost := errors.New("answer lost")
	once := func(op ledgertest.Op, err error) func(ledgertest.Op) error {
		done := false
		return func(now ledgertest.Op) error {
			if now != op || done {
				return nil
			}
			done = true
			return err
		}
	}
	for name, arrange := range map[string]func(*ledgertest.Chain){
		"at the first try":        func(*ledgertest.Chain) {},
		"call lost":               func(c *ledgertest.Chain) { c.Hooks(once(ledgertest.OpBroadcast, errLost), nil) },
		"answer lost":             func(c *ledgertest.Chain) { c.Hooks(nil, once(ledgertest.OpBroadcast, errLost)) },
		"mempool full for a time": func(c *ledgertest.Chain) { c.Full(true) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, chain *ledgertest.Chain, client *ledger.Client) {
				rich, poor := signer(1), signer(2).Account
				chain.Fund(rich.Account, 100)
				arrange(chain)
				ended := make(chan error, 1)
				go func() { ended <- client.Execute(t.Context(), rich, transfer(poor, 7)) }()
				elapse(time.Second)
				chain.Full(false)
				chain.Block(time.Second)
				require.NoError(t, <-ended)
				require.Equal(t, aitbc.Amount(7), chain.Balance(poor))
				require.NoError(t, client.Execute(t.Context(), rich, transfer(poor, 1)))
				require.Equal(t, aitbc.Amount(8), chain.Balance(poor))
			})
		})
	}
}

func TestEqualCallsAtOnceAllHappen(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, client *ledger.Client) {
		rich, poor := signer(1), signer(2).Account
		chain.Fund(rich.Account, 100)
		chain.Manual(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ended := make(chan error, 3)
		for range cap(ended) {
			go func() { ended <- client.Execute(ctx, rich, transfer(poor, 7)) }()
		}
		synctest.Wait()
		chain.Manual(false)
		chain.Block(time.Second)
		for range cap(ended) {
			require.NoError(t, <-ended)
		}
		require.Equal(t, aitbc.Amount(21), chain.Balance(poor))
	})
}

func TestExecuteSaysWhyNot(t *testing.T) {
	inBubble(t, func(t *testing.T, chain *ledgertest.Chain, client *ledger.Client) {
		err := client.Execute(t.Context(), signer(1), transfer(signer(2).Account, 7))
		require.ErrorIs(t, err, ledger.ErrNotFound)
		chain.Fund(signer(1).Account, 1)
		err = client.Execute(t.Context(), signer(1), transfer(signer(2).Account, 7))
		var refused *ledger.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, ledgerv1.ResultCode_RESULT_CODE_INSUFFICIENT_FUNDS, refused.Code)
	})
}

func TestAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "127.0.0.1:26657", "ftp://127.0.0.1", "http://127.0.0.1:x"} {
		_, err := ledger.DialHTTP(address)
		require.Error(t, err, address)
	}
	_, err := ledger.DialHTTP("tcp://127.0.0.1:26657")
	require.NoError(t, err)
}
