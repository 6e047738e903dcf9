package aitbc

import (
	"context"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Explanation is why a job is where it is. Its JSON is the contract's.
type Explanation struct {
	// JobID identifies the job; Status and Phase are as in [Job].
	JobID  JobID  `json:"job_id"`
	Status Status `json:"status"`
	Phase  string `json:"phase"`
	// Summary is one sentence for people.
	Summary string `json:"summary"`
	// Steps are all states the job came to, oldest first.
	Steps []Step `json:"steps"`
	// Decisions are how the miner of each attempt was chosen, as far as the coordinator remembers.
	Decisions []Decision `json:"decisions,omitempty"`
	// Wait is what the job waits for; nil unless its phase is queued.
	Wait *Wait `json:"wait,omitempty"`
	// Money is where the escrow went.
	Money Money `json:"money"`
}

// Step is one state that a job came to.
type Step struct {
	// Time is when. Phase is what it came to, Outcome the terminal status it was heading for, if any.
	Time    time.Time `json:"at"`
	Phase   string    `json:"phase"`
	Outcome Status    `json:"outcome,omitempty"`
	// Attempt and MinerID are the attempt it was in; zero before the first.
	Attempt int       `json:"attempt,omitempty"`
	MinerID AccountID `json:"miner_id,omitzero"`
	// Reason and Message are the cause, where something failed or was asked to end.
	Reason  Reason `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// Decision is the choice of one attempt's miner.
type Decision struct {
	// Attempt is the attempt, Time when it was decided, MinerID who was chosen.
	Attempt int       `json:"attempt"`
	Time    time.Time `json:"at"`
	MinerID AccountID `json:"miner_id"`
	// By is what decided: score, newcomer or claim.
	By string `json:"by"`
	// Eligible is how many miners could have run it; Compared are those that were looked at, the
	// best first.
	Eligible int         `json:"eligible"`
	Compared []Candidate `json:"compared"`
	// Others are the miners that were not chosen; nil: what they were then is forgotten.
	Others *Others `json:"others,omitempty"`
}

// Others are the miners that did not get a job when another got it.
type Others struct {
	// Known is how many there were; Reasons is how many of them each reason kept from the job.
	Known   int            `json:"known"`
	Reasons map[string]int `json:"reasons,omitempty"`
	// Miners are the miners one by one, at most 100, with the reasons as their obstacles.
	Miners []Candidate `json:"miners,omitempty"`
}

// Candidate is what one miner is to a job.
type Candidate struct {
	// MinerID is its account, Score its score, Obstacles what keeps it from the job.
	MinerID   AccountID `json:"miner_id"`
	Score     float64   `json:"score"`
	Obstacles []string  `json:"obstacles,omitempty"`
}

// Queue is a waiting job's place.
type Queue struct {
	// Position counts from 1. Wait is the estimate of how long it takes; zero: not known.
	Position int           `json:"position"`
	Wait     time.Duration `json:"estimated_wait,omitzero"`
}

// Wait is what a waiting job waits for.
type Wait struct {
	// Queue is its place.
	Queue Queue `json:"queue"`
	// Eligible is how many miners could run it now; Obstacles how many each obstacle keeps from it.
	Eligible  int            `json:"eligible"`
	Obstacles map[string]int `json:"obstacles,omitempty"`
	// Miners are the miners one by one, at most 100.
	Miners []Candidate `json:"miners,omitempty"`
	// Pull is what is done so that a miner gets the model; nil: some miner has it, or none may pull it.
	Pull *ModelPull `json:"pull,omitempty"`
}

// ModelPull is what is done about a model that no miner has and that some may pull.
type ModelPull struct {
	// Pullers is how many miners may pull it.
	Pullers int `json:"pullers"`
	// MinerID pulls it since AskedTime; zero: none does now.
	MinerID   AccountID `json:"miner_id,omitzero"`
	AskedTime time.Time `json:"asked_at,omitzero"`
	// CompletedBytes of TotalBytes are there, of the layers begun so far.
	CompletedBytes int64 `json:"completed_bytes"`
	TotalBytes     int64 `json:"total_bytes"`
	// Failures are the tries that failed, the newest first; of each miner the last.
	Failures []PullFailure `json:"failures,omitempty"`
}

// PullFailure is a pull that came to nothing.
type PullFailure struct {
	// MinerID failed at Time; Message says why, for people. AgainTime is when it may be asked again.
	MinerID   AccountID `json:"miner_id"`
	Time      time.Time `json:"at"`
	Message   string    `json:"message"`
	AgainTime time.Time `json:"again_at"`
}

// Money is where a job's escrow went: Escrowed = Paid + Refunded, once it is settled.
type Money struct {
	Escrowed       Amount        `json:"escrowed"`
	EscrowTx       Hash          `json:"escrow_tx,omitzero"`
	PricePerSecond Amount        `json:"price_per_second"`
	Metered        time.Duration `json:"metered,omitzero"`
	Paid           Amount        `json:"paid"`
	PaidTo         AccountID     `json:"paid_to,omitzero"`
	Refunded       Amount        `json:"refunded"`
	SettleTx       Hash          `json:"settle_tx,omitzero"`
	BlockHeight    int64         `json:"block_height,omitempty"`
}

// MinerExplanation is why a miner gets the jobs it gets. Its JSON is the contract's.
type MinerExplanation struct {
	// MinerID is its account, Status its status, Summary one sentence for people.
	MinerID AccountID `json:"miner_id"`
	Status  string    `json:"status"`
	Summary string    `json:"summary"`
	// Obstacles keep it from any job; TrippedUntil is until when its failures do.
	Obstacles    []string  `json:"obstacles,omitempty"`
	TrippedUntil time.Time `json:"tripped_until,omitzero"`
	// Reputation is 0 to 1, learnt from Jobs attempts, of which the last FailuresInARow failed.
	Reputation     float64 `json:"reputation"`
	Jobs           int     `json:"jobs"`
	FailuresInARow int     `json:"failures_in_a_row"`
	// Compared is in how many decisions it was looked at, Won how many it won.
	Compared int64 `json:"compared"`
	Won      int64 `json:"won"`
	// LastLost is the last one that it lost; nil: none.
	LastLost *LostDecision `json:"last_lost,omitempty"`
	// Waiting are the jobs that wait, by kind.
	Waiting []WaitingJobs `json:"waiting,omitempty"`
	// Passed are the latest decisions that did not go to it, the last one first.
	Passed []PassedDecision `json:"passed,omitempty"`
}

// PassedDecision is a decision that went to another miner, and why. A score of 0: it was not compared.
type PassedDecision struct {
	Time           time.Time `json:"at"`
	Model          string    `json:"model"`
	PricePerSecond Amount    `json:"price_per_second"`
	Reasons        []string  `json:"reasons"`
	Score          float64   `json:"score"`
	WinningScore   float64   `json:"winning_score"`
}

// LostDecision is a decision that went to another miner.
type LostDecision struct {
	Time         time.Time `json:"at"`
	Score        float64   `json:"score"`
	WinningScore float64   `json:"winning_score"`
}

// WaitingJobs are waiting jobs that are alike for the choice of a miner, and what keeps it from them.
type WaitingJobs struct {
	Model          string   `json:"model"`
	PricePerSecond Amount   `json:"price_per_second"`
	Jobs           int      `json:"jobs"`
	Obstacles      []string `json:"obstacles,omitempty"`
}

// Explain tells why a job is where it is. Reason: JOB_NOT_FOUND.
func (c *Client) Explain(ctx context.Context, id JobID) (*Explanation, error) {
	answer, err := c.jobs.ExplainJob(ctx, &coordinatorv1.ExplainJobRequest{JobId: id.String()})
	if err != nil {
		return nil, err
	}
	return explanationOf(answer.GetExplanation())
}

// ExplainMiner tells why a miner gets the jobs it gets. Reason: MINER_NOT_FOUND.
func (c *Client) ExplainMiner(ctx context.Context, id AccountID) (*MinerExplanation, error) {
	answer, err := c.network.ExplainMiner(ctx, &coordinatorv1.ExplainMinerRequest{MinerId: id.String()})
	if err != nil {
		return nil, err
	}
	return minerExplanationOf(answer.GetExplanation())
}

func explanationOf(m *coordinatorv1.JobExplanation) (*Explanation, error) {
	var f fieldReader
	x := &Explanation{
		JobID: f.jobID("job_id", m.GetJobId()), Status: Status(m.GetStatus()), Phase: m.GetPhase(), Summary: m.GetSummary(),
		Money: f.money(m.GetMoney()),
	}
	for _, s := range m.GetSteps() {
		x.Steps = append(x.Steps, Step{
			Time: instant(s.GetAt()), Phase: s.GetPhase(), Outcome: Status(s.GetOutcome()), Attempt: int(s.GetAttempt()),
			MinerID: f.account("steps.miner_id", s.GetMinerId()), Reason: Reason(s.GetReason()), Message: s.GetMessage(),
		})
	}
	for _, d := range m.GetDecisions() {
		decision := Decision{
			Attempt: int(d.GetAttempt()), Time: instant(d.GetAt()), MinerID: f.account("decisions.miner_id", d.GetMinerId()),
			By: d.GetBy(), Eligible: int(d.GetEligible()),
		}
		for _, c := range d.GetCompared() {
			decision.Compared = append(decision.Compared, Candidate{MinerID: f.account("compared.miner_id", c.GetMinerId()), Score: c.GetScore()})
		}
		if o := d.GetOthers(); o != nil {
			decision.Others = &Others{Known: int(o.GetKnown()), Reasons: countsOf(o.GetReasons()), Miners: f.candidates("others.miner_id", o.GetMiners())}
		}
		x.Decisions = append(x.Decisions, decision)
	}
	if w := m.GetWait(); w != nil {
		x.Wait = &Wait{
			Queue: *queueOf(w.GetQueue()), Eligible: int(w.GetEligible()),
			Obstacles: countsOf(w.GetObstacles()), Miners: f.candidates("miners.miner_id", w.GetMiners()),
			Pull: pullOf(&f, w.GetPull()),
		}
	}
	return x, f.err()
}

func countsOf(messages []*coordinatorv1.ObstacleCount) map[string]int {
	counts := make(map[string]int, len(messages))
	for _, o := range messages {
		counts[o.GetObstacle()] = int(o.GetMiners())
	}
	return counts
}

func (f *fieldReader) candidates(field string, messages []*coordinatorv1.MinerFinding) []Candidate {
	var list []Candidate
	for _, c := range messages {
		list = append(list, Candidate{MinerID: f.account(field, c.GetMinerId()), Score: c.GetScore(), Obstacles: c.GetObstacles()})
	}
	return list
}

// queueOf reads a waiting job's place; nil stays nil.
func queueOf(m *coordinatorv1.JobQueue) *Queue {
	if m == nil {
		return nil
	}
	return &Queue{Position: int(m.GetPosition()), Wait: m.GetEstimatedWait().AsDuration()}
}

func (f *fieldReader) money(m *coordinatorv1.JobMoney) Money {
	return Money{
		Escrowed: f.amount("money.escrowed", m.GetEscrowed()), EscrowTx: f.hash("money.escrow_tx", m.GetEscrowTx()),
		PricePerSecond: f.amount("money.price_per_second", m.GetPricePerSecond()), Metered: m.GetMetered().AsDuration(),
		Paid: f.amount("money.paid", m.GetPaid()), PaidTo: f.account("money.paid_to", m.GetPaidTo()),
		Refunded: f.amount("money.refunded", m.GetRefunded()), SettleTx: f.hash("money.settle_tx", m.GetSettleTx()),
		BlockHeight: int64(m.GetBlockHeight()),
	}
}

func minerExplanationOf(m *coordinatorv1.MinerExplanation) (*MinerExplanation, error) {
	var f fieldReader
	x := &MinerExplanation{
		MinerID: f.account("miner_id", m.GetMinerId()), Status: m.GetStatus(), Summary: m.GetSummary(),
		Obstacles: m.GetObstacles(), TrippedUntil: instant(m.GetTrippedUntil()), Reputation: m.GetReputation(),
		Jobs: int(m.GetJobs()), FailuresInARow: int(m.GetFailuresInARow()),
		Compared: int64(m.GetCompared()), Won: int64(m.GetWon()),
	}
	if lost := m.GetLastLost(); lost != nil {
		x.LastLost = &LostDecision{Time: instant(lost.GetAt()), Score: lost.GetScore(), WinningScore: lost.GetWinningScore()}
	}
	for _, w := range m.GetWaiting() {
		x.Waiting = append(x.Waiting, WaitingJobs{
			Model: w.GetModel(), PricePerSecond: f.amount("waiting.price_per_second", w.GetPricePerSecond()),
			Jobs: int(w.GetJobs()), Obstacles: w.GetObstacles(),
		})
	}
	for _, p := range m.GetPassed() {
		x.Passed = append(x.Passed, PassedDecision{
			Time: instant(p.GetAt()), Model: p.GetModel(), PricePerSecond: f.amount("passed.price_per_second", p.GetPricePerSecond()),
			Reasons: p.GetReasons(), Score: p.GetScore(), WinningScore: p.GetWinningScore(),
		})
	}
	return x, f.err()
}

func pullOf(f *fieldReader, p *coordinatorv1.JobPull) *ModelPull {
	if p == nil {
		return nil
	}
	pull := &ModelPull{
		Pullers: int(p.GetPullers()), MinerID: f.account("pull.miner_id", p.GetMinerId()), AskedTime: instant(p.GetAskedAt()),
		CompletedBytes: int64(p.GetCompletedBytes()), TotalBytes: int64(p.GetTotalBytes()),
	}
	for _, failure := range p.GetFailures() {
		pull.Failures = append(pull.Failures, PullFailure{
			MinerID: f.account("failures.miner_id", failure.GetMinerId()), Time: instant(failure.GetAt()),
			Message: failure.GetMessage(), AgainTime: instant(failure.GetAgainAt()),
		})
	}
	return pull
}
