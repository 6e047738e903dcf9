package dispatch_test

import (
	"crypto/ed25519"
	"fmt"
	"sync"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// player is a miner that does what the test says. It is its own link.
type player struct {
	w       *world
	key     ed25519.PrivateKey
	id      aitbc.AccountID
	session uint64
	state   dispatch.MinerState

	mu      sync.Mutex
	leases  []dispatch.Handover
	revoked []revocation
	asked   []string
	ended   bool
	// pulls are the pull requests, each as its models.
	pulls [][]string
	// onLease is called for each lease, in a goroutine of its own; nil: nothing is.
	onLease func(dispatch.Handover)
	working sync.WaitGroup
}

type revocation struct {
	lease  string
	reason coordinatorv1.ErrorReason
	settle bool
}

// Lease implements dispatch.Link.
func (p *player) Lease(h dispatch.Handover) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leases = append(p.leases, h)
	if p.onLease != nil {
		p.working.Go(func() { p.onLease(h) })
	}
}

// Revoke implements dispatch.Link.
func (p *player) Revoke(lease string, reason coordinatorv1.ErrorReason, settle bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked = append(p.revoked, revocation{lease, reason, settle})
}

// Text implements dispatch.Link.
func (p *player) Text(lease string, from int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, fmt.Sprintf("%s from %d", lease, from))
}

// Pull implements dispatch.Link.
func (p *player) Pull(models []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pulls = append(p.pulls, models)
}

// End implements dispatch.Link.
func (p *player) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
}

// miner makes a miner that is not connected yet.
func (w *world) miner(n byte, slots int) *player {
	key := keyOf(n)
	return &player{w: w, key: key, id: aitbc.AccountOf(key.Public().(ed25519.PublicKey)), state: dispatch.MinerState{
		Slots: slots, Engine: "ollama/0.17.4",
		Models: []*coordinatorv1.MinerModel{{Name: tiny, Digest: digest.String(), Warm: true}},
	}}
}

// connected makes a miner with an open session.
func (w *world) connected(n byte, slots int) *player {
	w.t.Helper()
	p := w.miner(n, slots)
	p.connect()
	return p
}

func (p *player) connect() {
	p.w.t.Helper()
	p.leases, p.revoked, p.asked, p.pulls, p.ended = nil, nil, nil, nil, false
	p.session = p.w.MinerConnected(dispatch.Registration{ID: p.id, Key: p.key.Public().(ed25519.PublicKey), Stake: 5, Link: p})
	p.say()
}

// say sends the miner's state.
func (p *player) say() {
	p.w.t.Helper()
	require.NoError(p.w.t, p.w.MinerState(p.w.t.Context(), p.id, p.session, p.state))
	synctest.Wait()
}

func (p *player) leave() {
	p.w.t.Helper()
	require.NoError(p.w.t, p.w.MinerGone(p.w.t.Context(), p.id, p.session))
	synctest.Wait()
}

// got gives what was sent since the last call.
func (p *player) got() (leases []dispatch.Handover, revoked []revocation) {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	leases, revoked = p.leases, p.revoked
	p.leases, p.revoked = nil, nil
	return leases, revoked
}

// lease gives the one lease that was sent.
func (p *player) lease() dispatch.Handover {
	p.w.t.Helper()
	leases, _ := p.got()
	require.Len(p.w.t, leases, 1)
	return leases[0]
}

func (p *player) begin(h dispatch.Handover) {
	p.w.t.Helper()
	_, err := p.w.StartAttempt(p.w.t.Context(), p.id, h.Job.ID, h.Job.Attempt)
	require.NoError(p.w.t, err)
}

// statement makes the statement for a result; edits change it before it is signed.
func (p *player) statement(h dispatch.Handover, result string, edits ...func(*aitbc.Statement)) dispatch.Result {
	s := aitbc.Statement{
		ChainID: chain, JobID: h.Job.ID, Attempt: h.Job.Attempt, LeaseHash: h.Job.Lease().Hash(),
		ResultCommitment: aitbc.Commitment(h.Job.Salt, aitbc.ResultHash([]byte(result))),
		Model:            h.Job.Model, ModelDigest: h.Job.ModelDigest,
		ComputeUS: 1_500_000, PromptTokens: 5, OutputTokens: 9, Engine: "ollama/0.17.4",
	}
	for _, edit := range edits {
		edit(&s)
	}
	return dispatch.Result{
		JobID: h.Job.ID, Attempt: h.Job.Attempt, Result: result,
		Statement: s.SigningBytes(), Signature: aitbc.Sign(p.key, s.SigningBytes()),
	}
}

// finish runs an attempt for two seconds and hands in its result.
func (p *player) finish(h dispatch.Handover) job.Job {
	p.w.t.Helper()
	p.begin(h)
	pass(2 * time.Second)
	j, err := p.w.Complete(p.w.t.Context(), p.id, p.statement(h, answer))
	require.NoError(p.w.t, err)
	return j
}

func (p *player) fail(h dispatch.Handover, reason coordinatorv1.ErrorReason) {
	p.w.t.Helper()
	_, err := p.w.Fail(p.w.t.Context(), p.id, h.Job.ID, h.Job.Attempt, job.Failure{Reason: reason, Message: "so it is"})
	require.NoError(p.w.t, err)
	synctest.Wait()
}
