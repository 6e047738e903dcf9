package aitbc

// Statement is what a miner signs about one attempt: who answered which order with what, and how
// much compute it took. It proves that nothing was altered; it does not prove that the model was
// run. A miner signs at most one final one per lease. While it streams it signs running ones too:
// each says what was done until then, so a later one stands for all before it. They have a domain tag
// of their own, so that none can ever be shown as a second final one.
type Statement struct {
	// ChainID is the ledger's chain id.
	ChainID string
	// JobID and Attempt are the lease's.
	JobID   JobID
	Attempt uint32
	// LeaseHash is the hash of the lease's signing bytes.
	LeaseHash Hash
	// ResultCommitment commits to the result's hash with the order's salt.
	ResultCommitment Hash
	// Model and ModelDigest are what ran.
	Model       string
	ModelDigest Hash
	// ComputeUS is the compute time in microseconds: evaluation of prompt and answer.
	ComputeUS int64
	// PromptTokens and OutputTokens are what the engine counted.
	PromptTokens uint32
	OutputTokens uint32
	// Engine is the engine and its version, such as "ollama/0.17.4".
	Engine string
	// Stopped says that the attempt was ended early, by a cancel or by a limit of the client's.
	Stopped bool
	// Running says that it is a running statement: it is about the beginning of an answer. It is no
	// field of the signing bytes, it chooses their tag.
	Running bool
}

// SigningBytes gives the statement's one encoding.
func (s Statement) SigningBytes() []byte { return s.write().signing() }

// Hash gives the SHA-256 of the signing bytes.
func (s Statement) Hash() Hash { return s.write().hash() }

func (s Statement) write() *writer {
	w := newWriter(s.tag())
	w.text(s.ChainID)
	w.fixed(s.JobID[:])
	w.uint32(s.Attempt)
	w.fixed(s.LeaseHash[:])
	w.fixed(s.ResultCommitment[:])
	w.text(s.Model)
	w.fixed(s.ModelDigest[:])
	w.int64(s.ComputeUS)
	w.uint32(s.PromptTokens)
	w.uint32(s.OutputTokens)
	w.text(s.Engine)
	w.boolean(s.Stopped)
	return w
}

func (s Statement) tag() string {
	if s.Running {
		return tagRunning
	}
	return tagStatement
}

// ParseStatement reads the signing bytes of a final statement. Errors: [ErrMalformed], also for a
// running one.
func ParseStatement(b []byte) (Statement, error) { return parseStatement(b, false) }

// ParseAnyStatement reads the signing bytes of a final statement or of a running one. Errors:
// [ErrMalformed].
func ParseAnyStatement(b []byte) (Statement, error) {
	if s, err := parseStatement(b, true); err == nil {
		return s, nil
	}
	return parseStatement(b, false)
}

func parseStatement(b []byte, running bool) (Statement, error) {
	r := newReader(b, Statement{Running: running}.tag())
	s := Statement{
		Running:          running,
		ChainID:          r.text(),
		JobID:            JobID(r.take(16)),
		Attempt:          r.uint32(),
		LeaseHash:        Hash(r.take(32)),
		ResultCommitment: Hash(r.take(32)),
		Model:            r.text(),
		ModelDigest:      Hash(r.take(32)),
		ComputeUS:        r.int64(),
		PromptTokens:     r.uint32(),
		OutputTokens:     r.uint32(),
		Engine:           r.text(),
		Stopped:          r.boolean(),
	}
	return s, r.end("statement")
}

// Acceptance is the operator's signed word that it verified a statement and made its result
// durable, and for how much compute time it may be paid.
type Acceptance struct {
	// ChainID is the ledger's chain id.
	ChainID string
	// JobID is the job.
	JobID JobID
	// StatementHash is the hash of the statement's signing bytes.
	StatementHash Hash
	// MeteredUS is the billable time in microseconds.
	MeteredUS int64
}

// SigningBytes gives the acceptance's one encoding.
func (a Acceptance) SigningBytes() []byte { return a.write().signing() }

// Hash gives the SHA-256 of the signing bytes.
func (a Acceptance) Hash() Hash { return a.write().hash() }

func (a Acceptance) write() *writer {
	w := newWriter(tagAcceptance)
	w.text(a.ChainID)
	w.fixed(a.JobID[:])
	w.fixed(a.StatementHash[:])
	w.int64(a.MeteredUS)
	return w
}

// ParseAcceptance reads signing bytes. Errors: [ErrMalformed].
func ParseAcceptance(b []byte) (Acceptance, error) {
	r := newReader(b, tagAcceptance)
	a := Acceptance{
		ChainID:       r.text(),
		JobID:         JobID(r.take(16)),
		StatementHash: Hash(r.take(32)),
		MeteredUS:     r.int64(),
	}
	return a, r.end("acceptance")
}
