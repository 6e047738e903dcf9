package dispatch_test

import (
	"crypto/ed25519"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

func reason(why coordinatorv1.ErrorReason) error { return &job.Error{Why: why} }

func TestAModelThatNoConnectedMinerHas(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.submit(func(r *dispatch.SubmitRequest) { r.Model = "big" }) // nobody is connected: it may come
		miner := w.connected(1, 1)
		r := request()
		r.Model = "big"
		_, err := w.Submit(t.Context(), r)
		require.ErrorIs(t, err, reason(modelGone))
		r = request()
		r.Digest = aitbc.Hash{4}
		_, err = w.Submit(t.Context(), r)
		require.ErrorIs(t, err, reason(modelGone))
		r.Digest = digest
		_, err = w.Submit(t.Context(), r)
		require.NoError(t, err)
		miner.leave()
		r.Model = "big"
		_, err = w.Submit(t.Context(), r)
		require.NoError(t, err, "nobody is connected again")
	})
}

func TestAnAccountCannotPromiseMoreThanItHas(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.ledger.balance = 10 * aitbc.UnitsPerCoin
		w.submit()
		_, err := w.Submit(t.Context(), request())
		require.ErrorIs(t, err, reason(coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS))
		require.Equal(t, 1, w.Stats().Live[job.Escrowing])
		requireWaiting(t, w, 6*aitbc.Amount(aitbc.UnitsPerCoin))
		cheap := w.submit(func(r *dispatch.SubmitRequest) { r.MaxPrice = 4 * aitbc.UnitsPerCoin })
		require.Equal(t, 4*aitbc.Amount(aitbc.UnitsPerCoin), cheap.Order.MaxPrice)
		w.ledger.perJob = 100
		_, err = w.Submit(t.Context(), request())
		require.ErrorIs(t, err, reason(coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS))
		w.ledger.away = true
		_, err = w.Submit(t.Context(), request())
		require.ErrorIs(t, err, errAway)
	})
}

func TestAnEscrowThatTheLedgerHasMadeAlreadyCountsOnce(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.ledger.balance = 12 * aitbc.UnitsPerCoin
		first := w.submit()
		w.ledger.balance = 6 * aitbc.UnitsPerCoin // the ledger has made it, and its outcome is on the way
		second := make(chan error)
		go func() {
			_, err := w.Submit(t.Context(), request())
			second <- err
		}()
		pass(500 * time.Millisecond)
		require.NoError(t, w.Settle(t.Context(), []job.Outcome{{JobID: first.ID, Kind: job.SubmitJob}}))
		require.NoError(t, <-second)

		began := time.Now()
		_, err := w.Submit(t.Context(), request())
		require.ErrorIs(t, err, reason(coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS))
		require.Equal(t, time.Second, time.Since(began), "it does not wait forever")
		w.settle()
		w.ledger.balance = 0
		began = time.Now()
		_, err = w.Submit(t.Context(), request())
		require.ErrorIs(t, err, reason(coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS))
		require.Zero(t, time.Since(began), "nothing could help")
	})
}

func TestTooManyJobsAreRefused(t *testing.T) {
	for name, bound := range map[string]func(*dispatch.Config){
		"in memory": func(c *dispatch.Config) { c.MaxLive = 3 },
		"anywhere":  func(c *dispatch.Config) { c.MaxQueue, c.Window = 3, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, bound, func(t *testing.T, w *world) {
				first := w.queue()
				w.queue()
				w.queue()
				_, err := w.Submit(t.Context(), request())
				var refusal interface {
					Reason() coordinatorv1.ErrorReason
					RetryAfter() time.Duration
				}
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED, refusal.Reason())
				require.Positive(t, refusal.RetryAfter())
				_, err = w.Cancel(t.Context(), clientID, first.ID)
				require.NoError(t, err)
				w.settle()
				w.queue()
			})
		})
	}
}

// TestAFullQueueHasRoomWhenSomePlacesAreFree: and then it takes them all.
func TestAFullQueueHasRoomWhenSomePlacesAreFree(t *testing.T) {
	inWorld(t, func(c *dispatch.Config) { c.MaxQueue = 64 }, func(t *testing.T, w *world) {
		var ids []aitbc.JobID
		for range 64 {
			require.NoError(t, w.Shed())
			ids = append(ids, w.queue().ID)
		}
		require.NoError(t, w.Shed(), "whether it is full shows when the next comes")
		for left := 3; left >= 0; left-- {
			_, err := w.Submit(t.Context(), request())
			require.ErrorContains(t, err, "64 jobs wait")
			require.ErrorContains(t, w.Shed(), "64 jobs wait")
			_, err = w.Cancel(t.Context(), clientID, ids[left])
			require.NoError(t, err)
			w.settle()
		}
		for range 4 {
			require.NoError(t, w.Shed())
			w.queue()
		}
		_, err := w.Submit(t.Context(), request())
		require.Error(t, err)
	})
}

// requireWaiting checks how much of the client's money is set aside for escrows to come.
func requireWaiting(t *testing.T, w *world, want aitbc.Amount) {
	t.Helper()
	require.Equal(t, want, w.AwaitsEscrow(clientID))
}

func TestARepeatedRequestGetsTheFirstJob(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		named := func(r *dispatch.SubmitRequest) { r.RequestID = "r1" }
		first := w.submit(named)
		require.Equal(t, first, w.submit(named))
		requireWaiting(t, w, first.Order.MaxPrice)
		other := request()
		other.RequestID, other.Prompt = "r1", "another"
		_, err := w.Submit(t.Context(), other)
		require.ErrorIs(t, err, job.ErrMismatch)
		other = request()
		other.RequestID, other.Client = "r1", aitbc.AccountID{5}
		elsewhere, err := w.Submit(t.Context(), other)
		require.NoError(t, err)
		require.NotEqual(t, first.ID, elsewhere.ID, "another account's ids are its own")

		w.ledger.balance = 0 // what would be refused today was taken then
		again := w.submit(named)
		require.Equal(t, first.ID, again.ID)
		_, err = w.Submit(t.Context(), request())
		require.ErrorIs(t, err, reason(coordinatorv1.ErrorReason_ERROR_REASON_INSUFFICIENT_FUNDS))

		w.ledger.balance = 100 * aitbc.UnitsPerCoin
		pass(24*time.Hour - time.Microsecond)
		require.Equal(t, first.ID, w.submit(named).ID)
		pass(time.Microsecond)
		require.NotEqual(t, first.ID, w.submit(named).ID, "forgotten after a day")
	})
}

func TestDefaultsOfAnOrder(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		now := time.Now()
		j := w.submit()
		require.Equal(t, tiny, j.Model)
		require.Equal(t, [3]time.Duration{60 * time.Second, 300 * time.Second, 360 * time.Second},
			[3]time.Duration{j.QueueTimeout, j.ExecutionLimit(), j.TotalTimeout})
		require.False(t, j.ClientLimit)
		require.Equal(t, now.Add(5*time.Minute).UnixMicro(), j.Order.ExpiresUS)
		require.Equal(t, now.Add(5*time.Minute+360*time.Second+time.Hour).UnixMicro(), j.Order.SettleByUS)
		content, err := aitbc.Payload{Type: j.Type, Model: tiny, Prompt: request().Prompt}.Hash()
		require.NoError(t, err)
		require.Equal(t, aitbc.Commitment(j.Salt, content), j.Order.PayloadCommitment)

		long := w.submit(func(r *dispatch.SubmitRequest) { r.Execution = time.Hour })
		require.True(t, long.ClientLimit)
		require.Equal(t, time.Hour+time.Minute, long.TotalTimeout, "never shorter than its parts")
		r := request()
		r.Total = 23 * time.Hour
		_, err = w.Submit(t.Context(), r)
		require.ErrorIs(t, err, reason(coordinatorv1.ErrorReason_ERROR_REASON_INVALID_FIELD))
	})
}

// signedOrder makes a good order for the request, and its signature.
func signedOrder(t *testing.T, r dispatch.SubmitRequest, edit func(*aitbc.Order)) *dispatch.SignedOrder {
	t.Helper()
	key := keyOf(100)
	salt := aitbc.Salt{1}
	content, err := aitbc.Payload{Type: r.Type, Model: dispatch.FullName(r.Model), Prompt: r.Prompt, Options: r.Options}.Hash()
	require.NoError(t, err)
	o := aitbc.Order{
		ChainID: chain, Client: r.Client, Operator: aitbc.AccountOf(operatorKey.Public().(ed25519.PublicKey)),
		JobID: aitbc.JobID{7}, PayloadCommitment: aitbc.Commitment(salt, content), Price: 10_000, MaxPrice: 1_000_000,
		ExecutionLimitUS: 100_000_000, SettleByUS: time.Now().Add(2 * time.Hour).UnixMicro(), ExpiresUS: time.Now().Add(time.Minute).UnixMicro(),
	}
	if edit != nil {
		edit(&o)
	}
	return &dispatch.SignedOrder{
		Body: o.SigningBytes(), Signature: aitbc.Sign(key, o.SigningBytes()), Salt: salt, PublicKey: key.Public().(ed25519.PublicKey),
	}
}

func TestAClientsOwnOrder(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		r := request()
		r.Order = signedOrder(t, r, nil)
		j, err := w.Submit(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, aitbc.JobID{7}, j.ID)
		require.Equal(t, r.Order.Signature, j.OrderSignature)
		require.Equal(t, []byte(r.Order.PublicKey), j.ClientKey)
		_, err = w.Submit(t.Context(), r)
		require.ErrorIs(t, err, job.ErrExists)
		requireWaiting(t, w, j.Order.MaxPrice)
		w.settle()
		_, err = w.Cancel(t.Context(), clientID, j.ID)
		require.NoError(t, err)
		w.settle()
		synctest.Wait()
		_, err = w.Submit(t.Context(), r)
		require.ErrorIs(t, err, job.ErrExists, "also when that job is done")
	})
}

func TestAnOrderThatDoesNotFitIsRefused(t *testing.T) {
	hour := time.Hour.Microseconds()
	cases := map[string]struct {
		order   func(*aitbc.Order)
		request func(*dispatch.SubmitRequest)
		field   string
	}{
		"another chain":     {order: func(o *aitbc.Order) { o.ChainID = "other" }, field: "order.body"},
		"another operator":  {order: func(o *aitbc.Order) { o.Operator[0]++ }, field: "order.body"},
		"another client":    {order: func(o *aitbc.Order) { o.Client[0]++ }, field: "order.body"},
		"no job id":         {order: func(o *aitbc.Order) { o.JobID = aitbc.JobID{} }, field: "order.body"},
		"another payload":   {request: func(r *dispatch.SubmitRequest) { r.Prompt += "!" }, field: "order.body"},
		"another salt":      {request: func(r *dispatch.SubmitRequest) { r.Order.Salt[1]++ }, field: "order.body"},
		"a price too low":   {order: func(o *aitbc.Order) { o.Price = 0 }, field: "order.body"},
		"a price too high":  {order: func(o *aitbc.Order) { o.Price = 1_000_001 }, field: "order.body"},
		"no price limit":    {order: func(o *aitbc.Order) { o.MaxPrice = 0 }, field: "order.body"},
		"a limit too short": {order: func(o *aitbc.Order) { o.ExecutionLimitUS = 99_999 }, field: "order.body"},
		"a limit not paid":  {order: func(o *aitbc.Order) { o.MaxPrice-- }, field: "order.body"},
		"a limit past total": {
			order:   func(o *aitbc.Order) { o.SettleByUS -= hour - 50_000_000 },
			request: func(r *dispatch.SubmitRequest) { r.Total = 10 * time.Second }, field: "order.body",
		},
		"a limit too long":    {order: func(o *aitbc.Order) { o.ExecutionLimitUS = hour + 1 }, field: "order.body"},
		"expired":             {order: func(o *aitbc.Order) { o.ExpiresUS = time.Now().UnixMicro() }, field: "order.body"},
		"expires too late":    {order: func(o *aitbc.Order) { o.ExpiresUS += hour }, field: "order.body"},
		"settles too early":   {order: func(o *aitbc.Order) { o.SettleByUS -= hour }, field: "order.body"},
		"settles too late":    {order: func(o *aitbc.Order) { o.SettleByUS += 24 * hour }, field: "order.body"},
		"another limit asked": {request: func(r *dispatch.SubmitRequest) { r.Execution = time.Second }, field: "timeouts.execution"},
		"another price asked": {request: func(r *dispatch.SubmitRequest) { r.MaxPrice = 1 }, field: "max_price"},
		"no order at all":     {request: func(r *dispatch.SubmitRequest) { r.Order.Body = []byte("x") }, field: "order.body"},
		"a broken signature":  {request: func(r *dispatch.SubmitRequest) { r.Order.Signature[3]++ }, field: "order.signature"},
		"no key where needed": {request: func(r *dispatch.SubmitRequest) { r.Order.PublicKey = nil }, field: "order.public_key"},
		"the key of an other": {request: func(r *dispatch.SubmitRequest) { r.Order.PublicKey = make([]byte, 32) }, field: "order.public_key"},
	}
	inWorld(t, nil, func(t *testing.T, w *world) { // one for all: none of them leaves a trace
		for name, c := range cases {
			r := request()
			r.Order = signedOrder(t, r, c.order)
			if c.request != nil {
				c.request(&r)
			}
			_, err := w.Submit(t.Context(), r)
			var refusal *job.Error
			require.ErrorAs(t, err, &refusal, name)
			require.Equal(t, coordinatorv1.ErrorReason_ERROR_REASON_INVALID_FIELD, refusal.Why, name)
			require.Equal(t, c.field, refusal.Field, "%s: %s", name, refusal.Message)
			requireWaiting(t, w, 0)
			require.Empty(t, w.Stats().Live, name)
		}
	})
}

func TestAnOrderSignedWithAKeyThatTheLedgerHasReplaced(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.ledger.keys[clientID] = keyOf(101).Public().(ed25519.PublicKey)
		r := request()
		r.Order = signedOrder(t, r, nil)
		_, err := w.Submit(t.Context(), r)
		require.ErrorContains(t, err, "signature")
	})
}

func TestFullNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"tiny": "tiny:latest", "tiny:latest": "tiny:latest", "a/b": "a/b:latest", "host:80/a": "host:80/a:latest", "host:80/a:q4": "host:80/a:q4",
	} {
		require.Equal(t, want, dispatch.FullName(name))
	}
}
