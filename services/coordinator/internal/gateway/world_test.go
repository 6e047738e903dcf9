package gateway_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	replicav1 "github.com/aitbc/aitbc/gen/go/aitbc/replica/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/api"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/custody"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/gateway"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/coordinator/internal/stream"
	edge "github.com/aitbc/aitbc/services/internal/gateway"
	"github.com/aitbc/aitbc/services/internal/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is everything behind the handlers, scripted: each answer is a field.
type world struct {
	mu        sync.Mutex
	submitted []dispatch.SubmitRequest
	completed []dispatch.Completion
	started   []time.Time
	created   []custody.Request
	rotated   []custody.Rotation
	free      bool // nothing costs anything

	submitErr error
	cancelled []aitbc.JobID
	cancelErr error
	leaseErr  error
	fundsErr  error
	jobs      map[aitbc.JobID]job.Job
	results   map[aitbc.JobID]string
	leases    []dispatch.Handover
	miners    []dispatch.MinerView
	models    []dispatch.ModelView
	keys      map[aitbc.Hash]store.Key
	keysErr   error
	panics    bool
	topics    map[aitbc.JobID]*stream.Topic
	watched   []string // the keys that watched
	stopping  chan struct{}
}

func (w *world) Submit(_ context.Context, r dispatch.SubmitRequest) (job.Job, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.panics {
		panic("a secret")
	}
	if w.submitErr != nil {
		return job.Job{}, w.submitErr
	}
	w.submitted = append(w.submitted, r)
	return job.Job{ID: jobID, Phase: job.Escrowing, SubmittedAt: submittedAt}, nil
}

func (w *world) Quote(_ context.Context, r dispatch.SubmitRequest) (dispatch.Quote, error) {
	q := dispatch.Quote{
		Order: aitbc.Order{Price: 20_000, MaxPrice: 6_000_000, ExecutionLimitUS: 300_000_000}, Usual: 250_000,
		Place: scheduler.Place{Position: 3, Wait: 1500 * time.Millisecond}, Eligible: 2, Available: 3_000_000,
	}
	if r.Model == "absent" {
		q.Refusal = job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND, "no connected miner has it")
	}
	return q, nil
}

func (w *world) Available(context.Context, dispatch.SubmitRequest) (aitbc.Amount, bool, error) {
	return 2_500_000, !w.free, w.fundsErr
}

func (w *world) SpentOf(context.Context, string, store.Day) (aitbc.Amount, error) {
	return 750_000, nil
}

func (w *world) Create(_ context.Context, r custody.Request) (custody.Issued, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.created = append(w.created, r)
	key := r.Key("key_"+r.Once.RequestID, "client_secret", submittedAt)
	return custody.Issued{Secret: "client_secret", Key: key, Custodial: true}, nil
}

func (w *world) Rotate(_ context.Context, r custody.Rotation) (custody.Issued, store.Key, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rotated = append(w.rotated, r)
	return custody.Issued{Secret: "client_other", Key: store.Key{ID: "key_2", Line: r.KeyID}}, store.Key{ID: r.KeyID, ExpiresAt: submittedAt}, nil
}

func (w *world) Revoke(_ context.Context, id string, _ time.Time) (store.Key, error) {
	return store.Key{ID: id, RevokedAt: submittedAt, CreatedAt: submittedAt, Line: id, Scope: store.ScopeClient}, nil
}

func (w *world) List(context.Context) ([]store.Key, error) {
	return []store.Key{
		{
			ID: "key_1", Name: "shop", Scope: store.ScopeClient, Account: client, Line: "key_0", Models: []string{"llama3.2:latest"}, SpendPerDay: 2_000_000,
			CreatedAt: submittedAt, ExpiresAt: submittedAt.AddDate(100, 0, 0),
		},
		{ID: "key_2", Scope: store.ScopeAdmin, Account: client, Line: "key_2", CreatedAt: submittedAt, RevokedAt: submittedAt.Add(time.Hour)},
	}, nil
}

func (w *world) Fill(_ context.Context, account aitbc.AccountID) (balance, sent aitbc.Amount, err error) {
	return 100_000_000, 40_000_000, nil
}

func (w *world) Cancel(_ context.Context, _ aitbc.AccountID, id aitbc.JobID) (job.Job, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cancelled = append(w.cancelled, id)
	return w.jobs[id], w.cancelErr
}

func (w *world) Leases(context.Context, aitbc.AccountID) ([]dispatch.Handover, error) {
	return w.leases, w.leaseErr
}

func (w *world) Start(_ context.Context, _ aitbc.AccountID, id aitbc.JobID, at time.Time) (job.Job, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started = append(w.started, at)
	return w.jobs[id], w.leaseErr
}

func (w *world) CompleteParts(_ context.Context, _ aitbc.AccountID, c dispatch.Completion) (job.Job, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.completed = append(w.completed, c)
	return w.jobs[c.JobID], w.leaseErr
}

func (w *world) Watch(_ context.Context, id aitbc.JobID, key string, after stream.Cursor) (*stream.Watcher, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watched = append(w.watched, key)
	topic := w.topics[id]
	if topic == nil {
		topic = stream.NewHub(stream.DefaultConfig()).Topic(w.jobs[id])
		w.topics[id] = topic
	}
	return topic.Watch(key, after, func(ctx context.Context) (string, error) { return w.Result(ctx, id) })
}

func (w *world) Miners() []dispatch.MinerView { return w.miners }
func (w *world) Models() []dispatch.ModelView { return w.models }

func (w *world) Place(j *job.Job) (scheduler.Place, bool) {
	return scheduler.Place{Position: 3, Wait: 1500 * time.Millisecond}, w.jobs[j.ID].Phase == job.Queued
}

func (w *world) Explain(_ context.Context, id aitbc.JobID) (dispatch.Explanation, error) {
	j := w.jobs[id]
	x := dispatch.Explanation{Job: j, Steps: j.History(nil), Decisions: []dispatch.Decided{{
		Attempt: 1, At: submittedAt, Miner: miner,
		Choice: scheduler.Choice{By: scheduler.ByScore, Eligible: 2, Compared: []scheduler.Scored{{Miner: miner, Score: 0.5}}},
		Others: &scheduler.Others{
			Known: 2, Counts: map[scheduler.Obstacle]int{scheduler.Outscored: 1, scheduler.Full: 1, scheduler.Excluded: 1},
			Miners: []scheduler.Finding{
				{Miner: client, Obstacles: []scheduler.Obstacle{scheduler.Outscored}, Score: 0.4},
				{Miner: stranger, Obstacles: []scheduler.Obstacle{scheduler.Excluded, scheduler.Full}},
			},
		},
	}}}
	if place, waits := w.Place(&j); waits {
		x.Place = &place
		x.Findings = []scheduler.Finding{{Miner: miner, Obstacles: []scheduler.Obstacle{scheduler.Excluded, scheduler.Full}}}
		x.Pull = &dispatch.Pull{
			Pullers: 2, Miner: miner, AskedAt: submittedAt, DoneBytes: 30 << 20, TotalBytes: 90 << 20,
			Failures: []dispatch.PullFailure{{Miner: miner, At: submittedAt, Why: "no such manifest", Again: submittedAt.Add(time.Minute)}},
		}
	}
	return x, nil
}

func (w *world) ExplainMiner(id aitbc.AccountID) (dispatch.MinerExplanation, error) {
	for _, m := range w.miners {
		if m.ID == id {
			return dispatch.MinerExplanation{
				Miner: m, Obstacles: []scheduler.Obstacle{scheduler.Full},
				Waiting: []scheduler.Kind{{Model: "llama3.2:latest", Price: 20_000, Jobs: 7, Obstacles: []scheduler.Obstacle{scheduler.Full}}},
				Passed: []scheduler.Passed{{
					At: submittedAt, Model: "llama3.2:latest", Price: 20_000, Winner: 0.5,
					Finding: scheduler.Finding{Miner: id, Obstacles: []scheduler.Obstacle{scheduler.Outscored}, Score: 0.4},
				}},
			}, nil
		}
	}
	return dispatch.MinerExplanation{}, job.Errorf(coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND, "no such miner")
}

func (w *world) Escrows(context.Context, aitbc.AccountID) (escrowed, waiting aitbc.Amount, err error) {
	return 2_000_000, 500_000, nil
}

func (w *world) Job(_ context.Context, id aitbc.JobID) (job.Job, error) {
	j, ok := w.jobs[id]
	if !ok {
		return j, store.ErrNotFound
	}
	return j, nil
}

func (w *world) Result(_ context.Context, id aitbc.JobID) (string, error) {
	result, ok := w.results[id]
	if !ok {
		return "", store.ErrNotFound
	}
	return result, nil
}

// Jobs lists newest first, as the store does.
func (w *world) Jobs(_ context.Context, q store.JobQuery) ([]job.Job, error) {
	var page []job.Job
	for n := byte(255); n > 0 && len(page) < q.Limit; n-- {
		j, ok := w.jobs[numbered(n)]
		if !ok || j.Order.Client != q.Client || (q.Status != "" && j.Status() != q.Status) {
			continue
		}
		if q.Before == (aitbc.JobID{}) || n < q.Before[15] {
			page = append(page, j)
		}
	}
	return page, nil
}

func (w *world) Terms(context.Context) (dispatch.Terms, error) {
	return dispatch.Terms{Now: submittedAt, Price: 20_000}, nil
}

func (w *world) Funds(context.Context, aitbc.AccountID) (dispatch.Funds, error) {
	return dispatch.Funds{Balance: 10_000_000, Allowance: 3_000_000}, w.fundsErr
}

func (w *world) MinerKey(context.Context, aitbc.AccountID) (ed25519.PublicKey, error) {
	return minerKey, nil
}

// Statement gives one entry, and a token that shows what was asked for.
func (w *world) Statement(_ context.Context, account aitbc.AccountID, size int32, token string) (*ledgerv1.ListStatementEntriesResponse, error) {
	posting := func(book ledgerv1.Posting_Book, owner aitbc.AccountID, amount int64) *ledgerv1.Posting {
		return &ledgerv1.Posting{Book: book, AccountId: owner.String(), AmountUaitbc: amount}
	}
	balance := int64(9_750_000)
	return &ledgerv1.ListStatementEntriesResponse{NextPageToken: fmt.Sprintf("%d after %s", size, token), Entries: []*ledgerv1.StatementEntry{{
		Height: 12345, BlockTimeUs: submittedAt.UnixMicro(), Kind: "record_receipt", TxHash: bytes.Repeat([]byte{7}, 32), JobId: jobID.String(),
		BalanceUaitbc: &balance,
		Postings: []*ledgerv1.Posting{
			posting(ledgerv1.Posting_BOOK_ESCROW, account, -6_000_000), posting(ledgerv1.Posting_BOOK_BALANCE, account, 5_750_000),
			posting(ledgerv1.Posting_BOOK_BALANCE, miner, 250_000),
		},
	}}}, nil
}

func (w *world) KeyByHash(_ context.Context, hash aitbc.Hash) (store.Key, error) {
	if w.keysErr != nil {
		return store.Key{}, w.keysErr
	}
	key, ok := w.keys[hash]
	if !ok {
		return key, store.ErrNotFound
	}
	return key, nil
}

var (
	client      = aitbc.AccountID{1}
	stranger    = aitbc.AccountID{2}
	minerKey    = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	miner       = aitbc.AccountOf(minerKey)
	operatorKey = ed25519.NewKeyFromSeed([]byte(strings.Repeat("o", ed25519.SeedSize))).Public().(ed25519.PublicKey)
	jobID       = numbered(7)
	submittedAt = time.Date(2025, 1, 29, 14, 50, 1, 0, time.UTC)
)

func numbered(n byte) aitbc.JobID { return aitbc.JobID{15: n} }

const (
	clientKey   = "client_dev_key_1"
	strangerKey = "client_dev_key_2"
	theMinerKey = "miner_dev_key_1"
	adminKey    = "admin_dev_key_1"
	readerKey   = "reader_dev_key_1"
	limitedKey  = "client_dev_key_3"
)

func newWorld() *world {
	w := &world{jobs: map[aitbc.JobID]job.Job{}, results: map[aitbc.JobID]string{}, keys: map[aitbc.Hash]store.Key{}}
	w.topics, w.stopping = map[aitbc.JobID]*stream.Topic{}, make(chan struct{})
	add := func(secret string, scope store.Scope, account aitbc.AccountID) {
		w.keys[auth.HashKey(secret)] = store.Key{ID: "key_" + secret, Scope: scope, Account: account}
	}
	add(clientKey, store.ScopeClient, client)
	add(strangerKey, store.ScopeClient, stranger)
	add(theMinerKey, store.ScopeMiner, miner)
	add(adminKey, store.ScopeAdmin, aitbc.AccountID{9})
	add(readerKey, store.ScopeReader, client)
	limited := store.Key{ID: "key_limited", Scope: store.ScopeClient, Account: client, Line: "key_first", Models: []string{"tiny:latest"}, SpendPerDay: 5}
	w.keys[auth.HashKey(limitedKey)] = limited
	return w
}

type port struct {
	server  *rpc.Server
	conn    *rpc.LocalConn
	handler http.Handler
	url     string // of serve's ports only
}

// serve starts the whole edge over the world: REST, stages, auth, limits, handlers.
func serve(t *testing.T, w *world, limit auth.LimitConfig) *port {
	t.Helper()
	p, stop := assemble(t, w, limit)
	web := httptest.NewServer(p.handler)
	p.url = web.URL
	t.Cleanup(func() {
		web.Close()
		stop()
	})
	return p
}

// assemble is serve without a network.
func assemble(t *testing.T, w *world, limit auth.LimitConfig) (p *port, stop func()) {
	t.Helper()
	authorizer, err := auth.New(auth.DefaultConfig(), w)
	require.NoError(t, err)
	limiter, err := auth.NewLimiter(limit)
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	server, err := rpc.NewServer(nil, rpc.Options{Logger: log, Authorizer: authorizer, Limiter: limiter})
	require.NoError(t, err)
	var senders sync.WaitGroup
	require.NoError(t, api.Register(server, api.Deps{
		Jobs: w, Leases: w, Keys: w, Network: w, Reader: w, Ledger: w, Statements: w, Faucet: w, Watches: w, Senders: &senders, Stopping: w.stopping, ChainID: "aitbc-test", Operator: operatorKey,
	}))
	coordinatorv1.RegisterSessionServiceServer(server, coordinatorv1.UnimplementedSessionServiceServer{})
	replicav1.RegisterReplicaServiceServer(server, replicav1.UnimplementedReplicaServiceServer{})
	conn, err := server.Conn()
	require.NoError(t, err)
	handler, err := gateway.New(t.Context(), edge.Options{Logger: log, Authorizer: authorizer}, conn, gateway.Faucet())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	return &port{server: server, conn: conn, handler: handler}, func() {
		require.NoError(t, conn.Close())
		cancel()
		require.NoError(t, <-ended)
		senders.Wait()
	}
}

func (p *port) do(t *testing.T, verb, path, body string, headers ...string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), verb, p.url+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, answer.Body.Close()) })
	return answer
}
