package aitbc

// Lease is the hand-over of one attempt of a job to one miner. The operator signs it.
type Lease struct {
	// ChainID is the ledger's chain id.
	ChainID string
	// OrderHash is the hash of the order's signing bytes.
	OrderHash Hash
	// JobID is the job.
	JobID JobID
	// Attempt counts the hand-overs of the job, from 1.
	Attempt uint32
	// Operator is the order's operator.
	Operator AccountID
	// Miner is who runs it.
	Miner AccountID
	// Model is the model's full name.
	Model string
	// ModelDigest is SHA-256 of the model's manifest.
	ModelDigest Hash
	// IssuedUS is when it was made, by the operator's clock, in Unix microseconds.
	IssuedUS int64
}

// ID gives the lease's id.
func (l Lease) ID() string { return l.JobID.LeaseID(l.Attempt) }

// SigningBytes gives the lease's one encoding.
func (l Lease) SigningBytes() []byte { return l.write().signing() }

// Hash gives the SHA-256 of the signing bytes.
func (l Lease) Hash() Hash { return l.write().hash() }

func (l Lease) write() *writer {
	w := newWriter(tagLease)
	w.text(l.ChainID)
	w.fixed(l.OrderHash[:])
	w.fixed(l.JobID[:])
	w.uint32(l.Attempt)
	w.fixed(l.Operator[:])
	w.fixed(l.Miner[:])
	w.text(l.Model)
	w.fixed(l.ModelDigest[:])
	w.int64(l.IssuedUS)
	return w
}

// ParseLease reads signing bytes. Errors: [ErrMalformed].
func ParseLease(b []byte) (Lease, error) {
	r := newReader(b, tagLease)
	l := Lease{
		ChainID:     r.text(),
		OrderHash:   Hash(r.take(32)),
		JobID:       JobID(r.take(16)),
		Attempt:     r.uint32(),
		Operator:    AccountID(r.take(20)),
		Miner:       AccountID(r.take(20)),
		Model:       r.text(),
		ModelDigest: Hash(r.take(32)),
		IssuedUS:    r.int64(),
	}
	return l, r.end("lease")
}
