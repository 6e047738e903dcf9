package aitbc

// Order is what a client authorises: up to MaxPrice of its tokens, held by the ledger for one job
// of one operator. An order that the client did not sign is covered by its allowance to that
// operator; it has the same bytes and hash.
type Order struct {
	// ChainID is the ledger's chain id.
	ChainID string
	// Client is whose tokens are held.
	Client AccountID
	// Operator is who may settle the job.
	Operator AccountID
	// JobID is the job.
	JobID JobID
	// PayloadCommitment commits to what was asked for.
	PayloadCommitment Hash
	// Price is the price of a compute second.
	Price Amount
	// MaxPrice is the escrow.
	MaxPrice Amount
	// ExecutionLimitUS is the most compute time that may be billed, in microseconds.
	ExecutionLimitUS int64
	// SettleByUS is when the escrow returns by itself: ledger time in Unix microseconds.
	SettleByUS int64
	// ExpiresUS is until when the order may be used: ledger time in Unix microseconds.
	ExpiresUS int64
}

// SigningBytes gives the order's one encoding.
func (o Order) SigningBytes() []byte { return o.write().signing() }

// Hash gives the SHA-256 of the signing bytes.
func (o Order) Hash() Hash { return o.write().hash() }

func (o Order) write() *writer {
	w := newWriter(tagOrder)
	w.text(o.ChainID)
	w.fixed(o.Client[:])
	w.fixed(o.Operator[:])
	w.fixed(o.JobID[:])
	w.fixed(o.PayloadCommitment[:])
	w.int64(int64(o.Price))
	w.int64(int64(o.MaxPrice))
	w.int64(o.ExecutionLimitUS)
	w.int64(o.SettleByUS)
	w.int64(o.ExpiresUS)
	return w
}

// ParseOrder reads signing bytes. Errors: [ErrMalformed].
func ParseOrder(b []byte) (Order, error) {
	r := newReader(b, tagOrder)
	o := Order{
		ChainID:           r.text(),
		Client:            AccountID(r.take(20)),
		Operator:          AccountID(r.take(20)),
		JobID:             JobID(r.take(16)),
		PayloadCommitment: Hash(r.take(32)),
		Price:             Amount(r.int64()),
		MaxPrice:          Amount(r.int64()),
		ExecutionLimitUS:  r.int64(),
		SettleByUS:        r.int64(),
		ExpiresUS:         r.int64(),
	}
	return o, r.end("order")
}
