package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/scheduler"
	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/crash"
)

// maxFindings is of how many miners an explanation tells one by one.
const maxFindings = 100

// ExplainJob implements JobService.
func (s *jobServer) ExplainJob(ctx context.Context, r *coordinatorv1.ExplainJobRequest) (*coordinatorv1.ExplainJobResponse, error) {
	who, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	j, err := s.own(ctx, who.Account, r.GetJobId())
	if err != nil {
		return nil, err
	}
	x, err := s.deps.Jobs.Explain(ctx, j.ID)
	if err != nil {
		return nil, err
	}
	message := &coordinatorv1.JobExplanation{
		JobId:   j.ID.String(),
		Status:  string(x.Job.Status()),
		Phase:   string(x.Job.Phase),
		Summary: summaryOf(x),
		Wait:    waitMessage(x),
		Money:   moneyMessage(x.Job),
	}
	if crash.Enabled && crash.Planted("missing-step") {
		x.Steps = x.Steps[:len(x.Steps)-1]
	}
	for _, step := range x.Steps {
		message.Steps = append(message.Steps, stepMessage(step))
	}
	for _, decided := range x.Decisions {
		message.Decisions = append(message.Decisions, decisionMessage(decided))
	}
	return &coordinatorv1.ExplainJobResponse{Explanation: message}, nil
}

// summaryOf says in one sentence why the job is where it is.
func summaryOf(x dispatch.Explanation) string {
	j := x.Job
	switch {
	case j.Phase == job.Escrowing:
		return "its escrow is on its way to the ledger"
	case j.Phase == job.Queued:
		return waitSummary(x)
	case !j.StopBy.IsZero():
		return fmt.Sprintf("miner %s was told to stop: %s", j.Miner, j.Failure.Message)
	case j.Phase == job.Leased:
		return fmt.Sprintf("attempt %d was handed to miner %s, which has not reported its start yet", j.Attempt, j.Miner)
	case j.Phase == job.Running:
		return fmt.Sprintf("attempt %d runs at miner %s", j.Attempt, j.Miner)
	case j.Phase == job.Unknown:
		return fmt.Sprintf("the stream of miner %s dropped; attempt %d waits up to %s for it to come back", j.Miner, j.Attempt, job.UnknownGrace)
	case j.Phase == job.Settling && j.Completion != nil:
		return "the result is there; its receipt is on its way to the ledger"
	case j.Phase == job.Settling:
		return "the refund is on its way to the ledger: " + j.Failure.Message
	case j.Outcome == job.StatusCompleted:
		return fmt.Sprintf("completed by miner %s in attempt %d", j.Miner, j.Attempt)
	default:
		return fmt.Sprintf("%s: %s", j.Outcome, j.Failure.Message)
	}
}

func waitSummary(x dispatch.Explanation) string {
	again := ""
	if !x.Job.Failure.IsZero() {
		again = fmt.Sprintf(" again, after attempt %d failed (%s)", x.Job.Attempt, x.Job.Failure.Message)
	}
	eligible, reasons := tally(x.Findings)
	counts := countMessages(reasons)
	switch {
	case x.Place == nil:
		return "it waits" + again + ", in the queue of another coordinator or about to enter this one's"
	case x.Pull != nil:
		return "it waits" + again + ": no miner has its model; " + pullSummary(*x.Pull)
	case eligible > 0:
		return fmt.Sprintf("it waits%s: %d miners could run it, and others go first", again, eligible)
	case len(x.Findings) == 0:
		return "it waits" + again + ": no miner is connected"
	default:
		return fmt.Sprintf("it waits%s: none of %d miners can run it now, the most frequent obstacle is %q", again, len(x.Findings), counts[0].GetObstacle())
	}
}

// tally counts who could run a job, and what keeps the others from it.
func tally(findings []scheduler.Finding) (eligible int, counts map[scheduler.Obstacle]int) {
	counts = map[scheduler.Obstacle]int{}
	for _, f := range findings {
		if len(f.Obstacles) == 0 {
			eligible++
		}
		for _, o := range f.Obstacles {
			counts[o]++
		}
	}
	return eligible, counts
}

// countMessages gives counts of obstacles, the most frequent first.
func countMessages(counts map[scheduler.Obstacle]int) []*coordinatorv1.ObstacleCount {
	var messages []*coordinatorv1.ObstacleCount
	for o, n := range counts {
		messages = append(messages, &coordinatorv1.ObstacleCount{Obstacle: string(o), Miners: int32(n)})
	}
	slices.SortFunc(messages, func(a, b *coordinatorv1.ObstacleCount) int {
		return cmp.Or(cmp.Compare(b.GetMiners(), a.GetMiners()), cmp.Compare(a.GetObstacle(), b.GetObstacle()))
	})
	return messages
}

func findingMessages(findings []scheduler.Finding) []*coordinatorv1.MinerFinding {
	messages := make([]*coordinatorv1.MinerFinding, len(findings))
	for i, f := range findings {
		messages[i] = &coordinatorv1.MinerFinding{MinerId: f.Miner.String(), Obstacles: words(f.Obstacles), Score: f.Score}
	}
	return messages
}

func waitMessage(x dispatch.Explanation) *coordinatorv1.JobWait {
	if x.Place == nil {
		return nil
	}
	eligible, counts := tally(x.Findings)
	return &coordinatorv1.JobWait{
		Queue: queueMessage(*x.Place, true), Eligible: int32(eligible), Obstacles: countMessages(counts),
		Miners: findingMessages(x.Findings[:min(len(x.Findings), maxFindings)]),
		Pull:   pullMessage(x.Pull),
	}
}

// queueMessage is a waiting job's place; nil when it does not wait.
func queueMessage(place scheduler.Place, waits bool) *coordinatorv1.JobQueue {
	if !waits {
		return nil
	}
	message := &coordinatorv1.JobQueue{Position: int32(place.Position)}
	if place.Wait > 0 {
		message.EstimatedWait = durationpb.New(place.Wait.Round(time.Millisecond))
	}
	return message
}

func words(obstacles []scheduler.Obstacle) []string {
	list := make([]string, len(obstacles))
	for i, o := range obstacles {
		list[i] = string(o)
	}
	return list
}

func stepMessage(s job.Step) *coordinatorv1.JobStep {
	message := &coordinatorv1.JobStep{
		At: stamp(s.At), Phase: string(s.Phase), Outcome: string(s.Outcome), Attempt: int32(s.Attempt), MinerId: accountOrEmpty(s.Miner),
	}
	if !s.Failure.IsZero() {
		message.Reason, message.Message = apierr.Word(s.Failure.Reason), s.Failure.Message
	}
	return message
}

func decisionMessage(d dispatch.Decided) *coordinatorv1.JobDecision {
	message := &coordinatorv1.JobDecision{
		Attempt: int32(d.Attempt), At: stamp(d.At), MinerId: d.Miner.String(), By: string(d.Choice.By), Eligible: int32(d.Choice.Eligible),
	}
	for _, c := range d.Choice.Compared {
		message.Compared = append(message.Compared, &coordinatorv1.MinerScore{MinerId: c.Miner.String(), Score: c.Score})
	}
	if o := d.Others; o != nil {
		message.Others = &coordinatorv1.JobDecisionOthers{
			Known: int32(o.Known), Reasons: countMessages(o.Counts), Miners: findingMessages(o.Miners),
		}
	}
	return message
}

// moneyMessage tells where the escrow went.
func moneyMessage(j job.Job) *coordinatorv1.JobMoney {
	money := &coordinatorv1.JobMoney{
		Escrowed: j.Order.MaxPrice.String(), EscrowTx: hexOrEmpty(j.EscrowTx), PricePerSecond: j.Order.Price.String(),
	}
	if j.Phase == job.Done && j.Settlement == nil { // it was refused, and nothing moved
		money.Escrowed = aitbc.Amount(0).String()
	}
	if c := j.Completion; c != nil {
		money.Metered = durationpb.New(time.Duration(c.MeteredUS) * time.Microsecond)
	}
	if s := j.Settlement; s != nil {
		money.Paid, money.Refunded = s.Paid.String(), s.Refunded.String()
		money.SettleTx, money.BlockHeight = hexOrEmpty(s.TxHash), float64(s.Height)
		if s.Paid > 0 {
			money.PaidTo = j.Miner.String()
		}
	}
	return money
}

// ExplainMiner implements NetworkService.
func (s *networkServer) ExplainMiner(_ context.Context, r *coordinatorv1.ExplainMinerRequest) (*coordinatorv1.ExplainMinerResponse, error) {
	id, err := aitbc.ParseAccountID(r.GetMinerId())
	if err != nil {
		return nil, apierr.InvalidField("miner_id", "must be an account's address").WithCause(err)
	}
	x, err := s.deps.Network.ExplainMiner(id)
	if err != nil {
		return nil, err
	}
	return &coordinatorv1.ExplainMinerResponse{Explanation: MinerExplanationMessage(x)}, nil
}

// MinerExplanationMessage is an explanation as the contract shows it.
func MinerExplanationMessage(x dispatch.MinerExplanation) *coordinatorv1.MinerExplanation {
	standing := x.Miner.Standing
	message := &coordinatorv1.MinerExplanation{
		MinerId:        x.Miner.ID.String(),
		Status:         x.Miner.Status,
		Summary:        minerSummary(x),
		Obstacles:      words(x.Obstacles),
		TrippedUntil:   stamp(standing.TrippedUntil),
		Reputation:     standing.Reputation,
		Jobs:           int32(standing.Jobs),
		FailuresInARow: int32(standing.Failures),
		Compared:       float64(standing.Compared),
		Won:            float64(standing.Won),
	}
	if lost := standing.Lost; !lost.At.IsZero() {
		message.LastLost = &coordinatorv1.LostDecision{At: stamp(lost.At), Score: lost.Score, WinningScore: lost.Winner}
	}
	for _, k := range x.Waiting {
		message.Waiting = append(message.Waiting, &coordinatorv1.WaitingJobs{
			Model: k.Model, PricePerSecond: k.Price.String(), Jobs: int32(k.Jobs), Obstacles: words(k.Obstacles),
		})
	}
	for _, p := range x.Passed {
		message.Passed = append(message.Passed, &coordinatorv1.PassedDecision{
			At: stamp(p.At), Model: p.Model, PricePerSecond: p.Price.String(), Reasons: words(p.Obstacles), Score: p.Score, WinningScore: p.Winner,
		})
	}
	return message
}

// minerSummary says in one sentence why the miner gets the jobs it gets.
func minerSummary(x dispatch.MinerExplanation) string {
	able, waiting := 0, 0
	for _, k := range x.Waiting {
		waiting += k.Jobs
		if len(k.Obstacles) == 0 {
			able += k.Jobs
		}
	}
	switch {
	case slices.Contains(x.Obstacles, scheduler.Full) && x.Miner.Standing.Held > 0:
		return fmt.Sprintf("it works: all of its %d slots are taken", x.Miner.State.Slots)
	case slices.Contains(x.Obstacles, scheduler.Full):
		return "it offers no free slot"
	case slices.Contains(x.Obstacles, scheduler.Tripped):
		return "it failed too often in a row and gets nothing for a while; see tripped_until"
	case len(x.Obstacles) > 0:
		return fmt.Sprintf("it gets nothing: %s", x.Obstacles[0])
	case waiting == 0:
		return "it could work: no job waits"
	case able == 0:
		return fmt.Sprintf("%d jobs wait, and something keeps it from each; see waiting", waiting)
	default:
		return fmt.Sprintf("it could run %d of the jobs that wait, and is about to get one", able)
	}
}
