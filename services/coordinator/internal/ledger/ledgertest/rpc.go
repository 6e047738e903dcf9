package ledgertest

import (
	"context"
	"crypto/sha256"
	"errors"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtbytes "github.com/cometbft/cometbft/libs/bytes"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	"github.com/cometbft/cometbft/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// ABCIQuery answers a LedgerService method.
func (c *Chain) ABCIQuery(ctx context.Context, path string, data cmtbytes.HexBytes) (*ctypes.ResultABCIQuery, error) {
	if err := c.hook(ctx, OpQuery, false); err != nil {
		return nil, err
	}
	answer, code := c.answer(path, data)
	if err := c.hook(ctx, OpQuery, true); err != nil {
		return nil, err
	}
	if code != codes.OK {
		return &ctypes.ResultABCIQuery{Response: abci.ResponseQuery{Code: uint32(code), Log: code.String()}}, nil
	}
	value, err := proto.Marshal(answer)
	return &ctypes.ResultABCIQuery{Response: abci.ResponseQuery{Value: value}}, err
}

func (c *Chain) answer(path string, data []byte) (proto.Message, codes.Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch path {
	case ledgerv1.LedgerService_GetStatus_FullMethodName:
		return c.status(), codes.OK
	case ledgerv1.LedgerService_GetAccount_FullMethodName:
		var r ledgerv1.GetAccountRequest
		id, ok := request(data, &r, func() string { return r.GetAccountId() })
		account := c.accounts[id]
		return &ledgerv1.GetAccountResponse{Account: account}, found(ok && account != nil)
	case ledgerv1.LedgerService_GetAllowance_FullMethodName:
		var r ledgerv1.GetAllowanceRequest
		id, ok := request(data, &r, func() string { return r.GetClientId() })
		grant := c.grants[id]
		return &ledgerv1.GetAllowanceResponse{Allowance: grant}, found(ok && grant.GetOperatorId() == r.GetOperatorId())
	case ledgerv1.LedgerService_GetMiner_FullMethodName:
		var r ledgerv1.GetMinerRequest
		id, ok := request(data, &r, func() string { return r.GetMinerId() })
		miner := &ledgerv1.LedgerMiner{MinerId: r.GetMinerId(), PublicKey: c.miners[id], StakeUaitbc: 1_000_000}
		return &ledgerv1.GetMinerResponse{Miner: miner}, found(ok && miner.PublicKey != nil)
	case ledgerv1.LedgerService_GetJob_FullMethodName:
		var r ledgerv1.GetJobRequest
		if err := proto.Unmarshal(data, &r); err != nil {
			return nil, codes.InvalidArgument
		}
		id, err := aitbc.ParseJobID(r.GetJobId())
		return &ledgerv1.GetJobResponse{
			Escrow: c.escrows[id], Settlement: c.settlements[id], LedgerTimeUs: c.clock.UnixMicro(),
		}, valid(err)
	case ledgerv1.LedgerService_GetTransaction_FullMethodName:
		var r ledgerv1.GetTransactionRequest
		if err := proto.Unmarshal(data, &r); err != nil || len(r.GetTxHash()) != sha256.Size {
			return nil, codes.InvalidArgument
		}
		tx := &ledgerv1.GetTransactionResponse{}
		if known, ok := c.txs[aitbc.Hash(r.GetTxHash())]; ok {
			tx = proto.CloneOf(known)
		}
		tx.LedgerTimeUs = c.clock.UnixMicro()
		return tx, codes.OK
	default:
		return nil, codes.Unimplemented
	}
}

func request(data []byte, into proto.Message, id func() string) (aitbc.AccountID, bool) {
	if err := proto.Unmarshal(data, into); err != nil {
		return aitbc.AccountID{}, false
	}
	account, err := aitbc.ParseAccountID(id())
	return account, err == nil
}

func found(ok bool) codes.Code {
	if ok {
		return codes.OK
	}
	return codes.NotFound
}

func valid(err error) codes.Code {
	if err == nil {
		return codes.OK
	}
	return codes.InvalidArgument
}

func (c *Chain) status() *ledgerv1.GetStatusResponse {
	return &ledgerv1.GetStatusResponse{
		ChainId: c.id, Height: c.height,
		BlockTimeUs: c.clock.UnixMicro(), LedgerTimeUs: c.clock.UnixMicro(),
		Params: &ledgerv1.Params{
			DefaultPriceUaitbc: 20_000, MinPriceUaitbc: 1, MaxPriceUaitbc: 1_000_000_000,
			MinGraceUs: 120_000_000, MaxSettleAheadUs: 86_400_000_000,
			RefundWindowUs: RefundWindow.Microseconds(), MaxExpiryAheadUs: maxExpiry.Microseconds(),
			MaxBlockGapUs: 10_000_000, MinStakeUaitbc: 1_000_000, RulesVersion: c.rules,
		},
	}
}

// BroadcastTxSync takes a transaction, or refuses it with the code of its first message when none
// would apply, as the application does.
func (c *Chain) BroadcastTxSync(ctx context.Context, tx types.Tx) (*ctypes.ResultBroadcastTx, error) {
	if err := c.hook(ctx, OpBroadcast, false); err != nil {
		return nil, err
	}
	result, err := c.take(tx)
	if hooked := c.hook(ctx, OpBroadcast, true); hooked != nil {
		return nil, hooked
	}
	return result, err
}

func (c *Chain) take(tx types.Tx) (*ctypes.ResultBroadcastTx, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broadcasts++
	hash := aitbc.Hash(sha256.Sum256(tx))
	if c.full {
		return nil, errors.New("RPC error -32603 - Internal error: mempool is full: number of txs 5000 (max: 5000)")
	}
	if c.cache[hash] {
		return nil, errors.New("RPC error -32603 - Internal error: tx already exists in cache")
	}
	if refused := c.check(tx, hash); refused != nil {
		return refused, nil
	}
	c.cache[hash] = true
	c.mempool = append(c.mempool, tx)
	if !c.manual {
		c.block(0)
	}
	return &ctypes.ResultBroadcastTx{}, nil
}

// Rest does nothing.
func (*Chain) Rest() {}

// Move implements ledger.Endpoint: there is no other node.
func (*Chain) Move() bool { return false }

// Blocks subscribes to blocks.
func (c *Chain) Blocks(ctx context.Context) (<-chan ctypes.ResultEvent, func(), error) {
	if err := c.hook(ctx, OpSubscribe, false); err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id, events := c.next, make(chan ctypes.ResultEvent, 16)
	c.next++
	c.subscribers[id] = events
	return events, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.subscribers, id)
	}, nil
}
