package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

// callTimeout bounds a call when the configuration does not.
const callTimeout = 5 * time.Second

// Config says how to use the ledger. Its zero value is not valid: begin with DefaultConfig.
type Config struct {
	// ChainID is the chain that must be met; empty: whichever is met first.
	ChainID string
	// CallTimeout bounds every call. Default 5 s.
	CallTimeout time.Duration
	// SilentAfter is how long no new block may be announced before the node is asked. Longer than
	// the 2 s in which an idle chain makes one. Default 3 s.
	SilentAfter time.Duration
	// PollEvery is how often the node is asked while there is no subscription. Default 500 ms.
	PollEvery time.Duration
	// StalledAfter is the age of the newest block, as seen from here, from which the ledger counts
	// as unavailable. Default 15 s.
	StalledAfter time.Duration
}

// DefaultConfig gives the defaults.
func DefaultConfig() Config {
	return Config{
		CallTimeout:  callTimeout,
		SilentAfter:  3 * time.Second,
		PollEvery:    500 * time.Millisecond,
		StalledAfter: 15 * time.Second,
	}
}

// Validate names what is wrong.
func (c Config) Validate() error {
	if c.CallTimeout <= 0 || c.SilentAfter <= 0 || c.PollEvery <= 0 || c.StalledAfter <= 0 {
		return fmt.Errorf("ledger: call timeout %s, silent after %s, poll every %s and stalled after %s must be positive",
			c.CallTimeout, c.SilentAfter, c.PollEvery, c.StalledAfter)
	}
	return nil
}

// Client is the ledger as the coordinator uses it. It is safe for concurrent use.
type Client struct {
	config   Config
	endpoint Endpoint
	log      *slog.Logger

	mu      sync.Mutex
	head    Head
	changed chan struct{} // closed and replaced whenever head is
	height  int64         // the highest that any answer spoke of
}

// New gives a client; Run makes it follow the chain.
func New(config Config, endpoint Endpoint, log *slog.Logger) (*Client, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Client{config: config, endpoint: endpoint, log: log, changed: make(chan struct{})}, nil
}

// Query asks a method of LedgerService by its full name and fills response. Errors: ErrNotFound,
// *QueryError, *UnavailableError.
func (c *Client) Query(ctx context.Context, method string, request, response proto.Message) error {
	data, err := proto.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode ledger query %s: %w", method, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.CallTimeout)
	defer cancel()
	result, err := c.endpoint.ABCIQuery(ctx, method, data)
	if err != nil {
		return &UnavailableError{Op: "query " + shortName(method), Cause: err}
	}
	switch answer := result.Response; codes.Code(answer.Code) {
	case codes.OK:
		if err := proto.Unmarshal(answer.Value, response); err != nil {
			return fmt.Errorf("decode answer of ledger query %s: %w", method, err)
		}
		return nil
	case codes.NotFound:
		return fmt.Errorf("ledger query %s: %w: %s", shortName(method), ErrNotFound, answer.Log)
	case codes.Unavailable:
		return &UnavailableError{Op: "query " + shortName(method), Cause: &QueryError{method, answer.Code, answer.Log}}
	default:
		return &QueryError{method, answer.Code, answer.Log}
	}
}

func shortName(method string) string { return method[strings.LastIndexByte(method, '/')+1:] }

// Status asks for chain, height, clock, supply and parameters. Errors: those of Query, and
// ErrWrongChain.
func (c *Client) Status(ctx context.Context) (*ledgerv1.GetStatusResponse, error) {
	var status ledgerv1.GetStatusResponse
	err := c.Query(ctx, ledgerv1.LedgerService_GetStatus_FullMethodName, &ledgerv1.GetStatusRequest{}, &status)
	if err != nil {
		return nil, err
	}
	if want := c.ChainID(); want != "" && status.GetChainId() != want {
		return nil, fmt.Errorf("%w: it is %q, want %q", ErrWrongChain, status.GetChainId(), want)
	}
	return &status, nil
}

// Account reads an account. Errors: those of Query.
func (c *Client) Account(ctx context.Context, id aitbc.AccountID) (*ledgerv1.LedgerAccount, error) {
	var answer ledgerv1.GetAccountResponse
	err := c.Query(ctx, ledgerv1.LedgerService_GetAccount_FullMethodName,
		&ledgerv1.GetAccountRequest{AccountId: id.String()}, &answer)
	return answer.GetAccount(), err
}

// Statement reads a page of an account's statement. Errors: those of Query but ErrNotFound; a page
// token that the node does not know as one of its own is an invalid field.
func (c *Client) Statement(ctx context.Context, id aitbc.AccountID, pageSize int32, pageToken string) (*ledgerv1.ListStatementEntriesResponse, error) {
	var answer ledgerv1.ListStatementEntriesResponse
	err := c.Query(ctx, ledgerv1.LedgerService_ListStatementEntries_FullMethodName,
		&ledgerv1.ListStatementEntriesRequest{AccountId: id.String(), PageSize: pageSize, PageToken: pageToken}, &answer)
	if refused := (*QueryError)(nil); errors.As(err, &refused) && codes.Code(refused.Code) == codes.InvalidArgument {
		// The account is ours, and the contract's rules have passed the size.
		return nil, apierr.InvalidField("page_token", "must be a next_page_token of an earlier answer").WithCause(err)
	}
	return &answer, err
}

// Allowance reads a client's grant to an operator. Errors: those of Query.
func (c *Client) Allowance(ctx context.Context, client, operator aitbc.AccountID) (*ledgerv1.Allowance, error) {
	var answer ledgerv1.GetAllowanceResponse
	err := c.Query(ctx, ledgerv1.LedgerService_GetAllowance_FullMethodName,
		&ledgerv1.GetAllowanceRequest{ClientId: client.String(), OperatorId: operator.String()}, &answer)
	return answer.GetAllowance(), err
}

// Miner reads a miner. Errors: those of Query.
func (c *Client) Miner(ctx context.Context, id aitbc.AccountID) (*ledgerv1.LedgerMiner, error) {
	var answer ledgerv1.GetMinerResponse
	err := c.Query(ctx, ledgerv1.LedgerService_GetMiner_FullMethodName,
		&ledgerv1.GetMinerRequest{MinerId: id.String()}, &answer)
	return answer.GetMiner(), err
}

// Operator reads an operator. Errors: those of Query.
func (c *Client) Operator(ctx context.Context, id aitbc.AccountID) (*ledgerv1.LedgerOperator, error) {
	var answer ledgerv1.GetOperatorResponse
	err := c.Query(ctx, ledgerv1.LedgerService_GetOperator_FullMethodName,
		&ledgerv1.GetOperatorRequest{OperatorId: id.String()}, &answer)
	return answer.GetOperator(), err
}

// Job reads a job's open escrow, or how it was settled. Errors: those of Query but ErrNotFound.
func (c *Client) Job(ctx context.Context, id aitbc.JobID, operator aitbc.AccountID) (*ledgerv1.GetJobResponse, error) {
	var answer ledgerv1.GetJobResponse
	err := c.Query(ctx, ledgerv1.LedgerService_GetJob_FullMethodName,
		&ledgerv1.GetJobRequest{JobId: id.String(), OperatorId: operator.String()}, &answer)
	return &answer, err
}

// Transaction reads a committed transaction's results. Errors: those of Query but ErrNotFound.
func (c *Client) Transaction(ctx context.Context, hash aitbc.Hash) (*ledgerv1.GetTransactionResponse, error) {
	var answer ledgerv1.GetTransactionResponse
	err := c.Query(ctx, ledgerv1.LedgerService_GetTransaction_FullMethodName,
		&ledgerv1.GetTransactionRequest{TxHash: hash[:]}, &answer)
	c.noteHeight(answer.GetHeight())
	return &answer, err
}
