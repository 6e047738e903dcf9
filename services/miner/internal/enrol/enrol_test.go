package enrol_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/miner/internal/enrol"
)

// chain is a ledger of one account. tools/e2e enrols at a real one.
type chain struct {
	registered bool
	stake      int64
	balance    int64
	sequence   uint64
	refuse     ledgerv1.ResultCode // what the next transaction is answered with, in its block
	sent       []*ledgerv1.TxBody
}

func (c *chain) GetStatus(context.Context, *ledgerv1.GetStatusRequest, ...grpc.CallOption) (*ledgerv1.GetStatusResponse, error) {
	return &ledgerv1.GetStatusResponse{ChainId: "aitbc-test", LedgerTimeUs: 1_000_000, Params: &ledgerv1.Params{MinStakeUaitbc: 100_000_000}}, nil
}

func (c *chain) GetMiner(context.Context, *ledgerv1.GetMinerRequest, ...grpc.CallOption) (*ledgerv1.GetMinerResponse, error) {
	if !c.registered {
		return nil, &aitbc.Error{Code: codes.NotFound, Message: "no such miner"}
	}
	return &ledgerv1.GetMinerResponse{Miner: &ledgerv1.LedgerMiner{StakeUaitbc: c.stake}}, nil
}

func (c *chain) GetAccount(context.Context, *ledgerv1.GetAccountRequest, ...grpc.CallOption) (*ledgerv1.GetAccountResponse, error) {
	if c.sequence == 0 {
		return nil, &aitbc.Error{Code: codes.NotFound, Message: "no such account"}
	}
	return &ledgerv1.GetAccountResponse{Account: &ledgerv1.LedgerAccount{BalanceUaitbc: c.balance, NextSequence: c.sequence}}, nil
}

func (c *chain) BroadcastTransaction(_ context.Context, r *ledgerv1.BroadcastTransactionRequest, _ ...grpc.CallOption) (*ledgerv1.BroadcastTransactionResponse, error) {
	body := &ledgerv1.TxBody{}
	if err := proto.Unmarshal(r.GetTx().GetBody(), body); err != nil {
		return nil, err
	}
	c.sent = append(c.sent, body)
	for _, m := range body.GetMessages() {
		if c.refuse == ledgerv1.ResultCode_RESULT_CODE_UNSPECIFIED {
			c.registered = true
			bonded := m.GetBondStake().GetAmountUaitbc()
			c.stake, c.balance = c.stake+bonded, c.balance-bonded
		}
	}
	hash := sha256.Sum256([]byte("tx"))
	return &ledgerv1.BroadcastTransactionResponse{TxHash: hash[:]}, nil
}

func (c *chain) GetTransaction(context.Context, *ledgerv1.GetTransactionRequest, ...grpc.CallOption) (*ledgerv1.GetTransactionResponse, error) {
	return &ledgerv1.GetTransactionResponse{Found: true, Results: []*ledgerv1.MessageResult{{Code: c.refuse, Detail: "because"}}}, nil
}

func wish(stake aitbc.Amount) enrol.Wish {
	return enrol.Wish{Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), Name: "one", Stake: stake}
}

func TestANewMinerRegistersAndBondsTheLeastThatGetsWork(t *testing.T) {
	c := &chain{balance: 150_000_000, sequence: 3}
	s, err := enrol.Once(t.Context(), c, wish(0))
	require.NoError(t, err)
	require.True(t, s.Registered)
	require.Equal(t, aitbc.Amount(100_000_000), s.Stake)
	require.Equal(t, aitbc.Amount(50_000_000), s.Balance)
	require.Len(t, c.sent, 1)
	require.Equal(t, uint64(3), c.sent[0].GetSequence())
	require.Equal(t, "one", c.sent[0].GetMessages()[0].GetRegisterMiner().GetName())

	_, err = enrol.Once(t.Context(), c, wish(0))
	require.NoError(t, err)
	require.Len(t, c.sent, 1, "nothing is missing any more")

	s, err = enrol.Once(t.Context(), c, wish(120_000_000))
	require.NoError(t, err)
	require.Equal(t, aitbc.Amount(120_000_000), s.Stake)
	require.Len(t, c.sent[1].GetMessages(), 1, "it is registered")
}

func TestWhatCannotBeDoneSaysWhatToDo(t *testing.T) {
	t.Run("no tokens", func(t *testing.T) {
		c := &chain{}
		_, err := enrol.Once(t.Context(), c, wish(0))
		require.ErrorIs(t, err, enrol.ErrUnfunded)
		require.ErrorContains(t, err, "keys fund aitbc1")
		require.Empty(t, c.sent)
	})
	t.Run("refused in the block", func(t *testing.T) {
		c := &chain{balance: 150_000_000, sequence: 1, refuse: ledgerv1.ResultCode_RESULT_CODE_BAD_SEQUENCE}
		_, err := enrol.Once(t.Context(), c, wish(0))
		require.ErrorIs(t, err, enrol.ErrRefused)
		require.ErrorContains(t, err, "because")
	})
	t.Run("another chain", func(t *testing.T) {
		w := wish(0)
		w.ChainID = "another"
		_, err := enrol.Once(t.Context(), &chain{balance: 150_000_000, sequence: 1}, w)
		require.ErrorIs(t, err, enrol.ErrRefused)
	})
}
