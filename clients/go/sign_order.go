package aitbc

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"math/bits"
	"strings"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// What an order that leaves them open gets: the coordinator's own defaults.
const (
	defaultQueue     = time.Minute
	defaultExecution = 5 * time.Minute
	defaultTotal     = 6 * time.Minute
	// defaultSettle is how long after the job's total timeout its escrow returns by itself. A public
	// ledger asks for an hour at least.
	defaultSettle = time.Hour
	// defaultOrderLife is how long an order may wait for its escrow, maxOrderLife what ledgers allow by
	// default.
	defaultOrderLife = 5 * time.Minute
	maxOrderLife     = 10 * time.Minute
)

// WithOrderKey signs an order for every job with the account's own key: the operator needs no
// allowance, and can spend no more than each order says. The API key must be the account's.
func WithOrderKey(key ed25519.PrivateKey) Option { return func(c *config) { c.orderKey = key } }

// SignedOrder is an order with the client's signature, and the salt of its commitments.
type SignedOrder struct {
	Order     Order
	Signature []byte
	Salt      Salt
	// PublicKey is the key that signed.
	PublicKey ed25519.PublicKey
}

func (o *SignedOrder) message() *coordinatorv1.SignedOrder {
	if o == nil {
		return nil
	}
	return &coordinatorv1.SignedOrder{Body: o.Order.SigningBytes(), Signature: o.Signature, Salt: o.Salt[:], PublicKey: o.PublicKey}
}

// SignOrder gives the request with an order for it, signed by the account's key: what Submit does by
// itself with the key of [WithOrderKey]. Who wants to repeat a request under one RequestID must submit the
// same order again, since every new one differs. Errors: [ErrMalformed] for a key or an OrderLife that cannot
// be.
func (c *Client) SignOrder(ctx context.Context, req SubmitRequest, key ed25519.PrivateKey) (SubmitRequest, error) {
	if len(key) != ed25519.PrivateKeySize {
		return req, fmt.Errorf("sign order: %w: private key of %d bytes", ErrMalformed, len(key))
	}
	if req.OrderLife < 0 || req.OrderLife > maxOrderLife {
		return req, fmt.Errorf("sign order: %w: OrderLife is %s, want at most %s; zero: %s", ErrMalformed, req.OrderLife, maxOrderLife, defaultOrderLife)
	}
	account, err := c.Account(ctx)
	if err != nil {
		return req, err
	}
	order, salt, err := req.order(account)
	if err != nil {
		return req, fmt.Errorf("sign order: %w", err)
	}
	public, _ := key.Public().(ed25519.PublicKey) // it is no other type
	req.Order = &SignedOrder{Order: order, Signature: Sign(key, order.SigningBytes()), Salt: salt, PublicKey: public}
	return req, nil
}

// order makes the order of a request on the account's terms.
func (r SubmitRequest) order(account *Account) (Order, Salt, error) {
	var salt Salt
	if _, err := rand.Read(salt[:]); err != nil {
		return Order{}, salt, fmt.Errorf("make a salt: %w", err)
	}
	asked, err := r.Content()
	if err != nil {
		return Order{}, salt, err
	}
	content, err := Payload{
		Type: r.Type(), Model: FullModelName(r.Model), ModelDigest: r.ModelDigest, Prompt: asked, Options: r.Options,
	}.Hash()
	if err != nil {
		return Order{}, salt, err
	}
	job, err := NewJobID(time.Now(), rand.Reader)
	if err != nil {
		return Order{}, salt, err
	}
	execution := orElse(r.Timeouts.Execution, defaultExecution)
	total := orElse(r.Timeouts.Total, max(defaultTotal, orElse(r.Timeouts.Queue, defaultQueue)+execution))
	limit := r.MaxPrice
	if limit == 0 {
		limit = Price(execution, account.PricePerSecond, 1<<62)
	} else {
		execution = min(execution, paidFor(limit, account.PricePerSecond))
	}
	now, life := account.LedgerTime, orElse(r.OrderLife, defaultOrderLife)
	return Order{
		ChainID: account.ChainID, Client: account.ID, Operator: account.OperatorID, JobID: job,
		PayloadCommitment: Commitment(salt, content), Price: account.PricePerSecond, MaxPrice: limit,
		ExecutionLimitUS: execution.Microseconds(),
		SettleByUS:       now.Add(life + max(total, execution) + orElse(r.SettleWithin, defaultSettle)).UnixMicro(),
		ExpiresUS:        now.Add(life).UnixMicro(),
	}, salt, nil
}

// FullModelName gives a model's full name: without a tag it is the latest.
func FullModelName(model string) string {
	if strings.Contains(model[strings.LastIndexByte(model, '/')+1:], ":") {
		return model
	}
	return model + ":latest"
}

// paidFor gives the compute time that an amount pays for, at most a day.
func paidFor(amount, perSecond Amount) time.Duration {
	const most = 24 * time.Hour
	if amount <= 0 || perSecond <= 0 || Price(most, perSecond, 1<<62) <= amount {
		return most
	}
	high, low := bits.Mul64(uint64(amount), uint64(time.Second/time.Microsecond))
	us, _ := bits.Div64(high, low, uint64(perSecond)) // less than a day's, so it fits
	return time.Duration(us) * time.Microsecond
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d != 0 {
		return d
	}
	return otherwise
}
