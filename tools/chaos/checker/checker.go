// Package checker says whether a network kept its promises: each acknowledged job exists and reached
// exactly one end, each coin went where it should, and coordinator and ledger tell the same story.
//
// It shares no code with the services or their SDK: it reads what anybody can read, the coordinator's
// REST and the ledger's JSON-RPC, into structs of its own, and computes hashes, prices and sums by
// itself. So a fault in shared code cannot hide from it. Start with Check.
package checker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Claim is what a client was told: that this request made this job.
type Claim struct {
	// RequestID is the idempotency key, JobID the job that was acknowledged.
	RequestID, JobID string
	// Again is the job that the same request was answered with later; empty: it was not repeated.
	Again string
	// Want is the answer that the engine gives, Ends how a network in which nothing breaks ends the job, in
	// its first attempt if it is completed; empty: that is open.
	Want, Ends string
}

// Input is what to check.
type Input struct {
	// REST are the base URLs of the coordinators' REST, which take turns: each must tell the same. RPC is
	// that of the ledger's JSON-RPC.
	REST []string
	RPC  string
	// Key is the client's API key; all its jobs must be claimed.
	Key string
	// Claims are the acknowledged jobs of that key.
	Claims []Claim
	// Calm: nothing was broken, so each job must have ended as its claim says.
	Calm bool
	// Before is the ledger and the client's account as they were before the first job.
	Before Snapshot
}

// Snapshot is what the sums begin with.
type Snapshot struct {
	Supply   int64
	Receipts int64
	Balance  int64
	// Stakes is what the miners have at stake, and Burned what is nobody's any more: no miner has
	// deserved a punishment. Miners are the balances of those that were connected.
	Stakes, Burned int64
	Miners         map[string]int64
}

// Report is what was found.
type Report struct {
	// Jobs is how many were checked, by status.
	Jobs map[string]int
	// Paid is what the client paid in all, in uaitbc.
	Paid int64
	// Findings are the broken promises, in words.
	Findings []string
}

const (
	// readers is how many jobs are read at once.
	readers = 4
	// maxFindings bounds a report: one fault breaks promises of many jobs.
	maxFindings = 100
)

type check struct {
	Input
	account account
	turn    atomic.Int64

	mu     sync.Mutex
	report Report
	seen   map[string]job
}

// Take reads what the sums begin with.
func Take(ctx context.Context, in Input) (Snapshot, error) {
	c := &check{Input: in}
	if err := c.get(ctx, "/v1/account", &c.account); err != nil {
		return Snapshot{}, err
	}
	status, err := c.ledgerStatus(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	balance, err := coins(c.account.Balance)
	if err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{
		Supply: status.total, Receipts: status.receipts, Balance: balance, Stakes: status.stakes, Burned: status.burned, Miners: map[string]int64{},
	}
	var page minerPage
	if err := c.get(ctx, "/v1/miners?page_size=1000", &page); err != nil {
		return s, err
	}
	for _, m := range page.Miners {
		if s.Miners[m.ID], err = c.balance(ctx, m.ID); err != nil {
			return s, err
		}
	}
	return s, nil
}

// AtRest reports whether the ledger holds no escrow any more. A refund is final, and leaves, some seconds
// after its job has ended.
func AtRest(ctx context.Context, in Input) (bool, error) {
	status, err := (&check{Input: in}).ledgerStatus(ctx)
	return status.openEscrows == 0, err
}

// Check checks a network that has come to rest. Errors: it cannot be read; what is wrong with it is in
// the report.
func Check(ctx context.Context, in Input) (Report, error) {
	c := &check{Input: in, seen: map[string]job{}, report: Report{Jobs: map[string]int{}}}
	if err := c.get(ctx, "/v1/account", &c.account); err != nil {
		return c.report, err
	}
	if err := c.claims(ctx); err != nil {
		return c.report, err
	}
	if err := c.lists(ctx); err != nil {
		return c.report, err
	}
	if err := c.sums(ctx); err != nil {
		return c.report, err
	}
	slices.Sort(c.report.Findings)
	return c.report, nil
}

func (c *check) find(format string, values ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.report.Findings) < maxFindings {
		c.report.Findings = append(c.report.Findings, fmt.Sprintf(format, values...))
	}
}

// claims checks every job that was acknowledged.
func (c *check) claims(ctx context.Context) error {
	work := make(chan Claim)
	var group sync.WaitGroup
	var once sync.Once
	var failure error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range readers {
		group.Go(func() {
			for claim := range work {
				if err := c.claim(ctx, claim); err != nil {
					once.Do(func() { failure = err; cancel() })
				}
			}
		})
	}
	for _, claim := range c.Claims {
		work <- claim
	}
	close(work)
	group.Wait()
	return failure
}

func (c *check) claim(ctx context.Context, claim Claim) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if claim.Again != "" && claim.Again != claim.JobID {
		c.find("request %s was answered with job %s, and again with %s", claim.RequestID, claim.JobID, claim.Again)
	}
	var first, again job
	if err := c.get(ctx, "/v1/jobs/"+claim.JobID, &first); isNotFound(err) {
		c.find("job %s was acknowledged and does not exist", claim.JobID)
		return nil
	} else if err != nil {
		return err
	}
	c.end(first)
	c.answer(claim, first)
	if err := c.story(ctx, first); err != nil {
		return err
	}
	if err := c.money(ctx, first); err != nil {
		return err
	}
	if err := c.get(ctx, "/v1/jobs/"+claim.JobID, &again); err != nil {
		return err
	}
	if first.essence() != again.essence() {
		c.find("job %s changed after its end: %s, then %s", claim.JobID, first.essence(), again.essence())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, twice := c.seen[first.ID]; twice && len(c.report.Findings) < maxFindings {
		c.report.Findings = append(c.report.Findings, fmt.Sprintf("job %s was acknowledged to two requests", first.ID))
	}
	c.seen[first.ID] = first
	c.report.Jobs[first.Status]++
	return nil
}

// end checks that the job is at exactly one end, and what belongs to it is there.
func (c *check) end(j job) {
	if !slices.Contains([]string{"completed", "failed", "cancelled"}, j.Status) || j.Phase != "done" {
		c.find("job %s is not at its end: %s/%s", j.ID, j.Status, j.Phase)
		return
	}
	cost, err := coins(j.Cost)
	if err != nil {
		c.find("job %s: cost: %v", j.ID, err)
	}
	receipt := j.ReceiptID != ""
	switch {
	case j.Status == "completed" && !receipt:
		c.find("job %s is completed and has no receipt", j.ID)
	case j.Status == "failed" && (receipt || cost != 0):
		c.find("job %s failed and has a receipt (%q) or a cost (%s)", j.ID, j.ReceiptID, j.Cost)
	case !receipt && cost != 0:
		c.find("job %s was paid without a receipt", j.ID)
	case receipt && j.Result == "":
		c.find("job %s has a receipt and no result", j.ID)
	}
	if (j.Status == "completed") == (j.Error != nil) {
		c.find("job %s is %s and its error is %v", j.ID, j.Status, j.Error)
	}
}

// answer checks that a job's result is what was asked for, and, where nothing was broken, that it ended as
// it should.
func (c *check) answer(claim Claim, j job) {
	if j.Status == "completed" && claim.Want != "" && j.Result != claim.Want {
		c.find("job %s was answered with %q, the engine says %q", j.ID, j.Result, claim.Want)
	}
	if !c.Calm || claim.Ends == "" {
		return
	}
	if j.Status != claim.Ends || j.Status == "completed" && j.Attempts != 1 {
		c.find("job %s is %s in attempt %d, and nothing was in the way of %s in the first", j.ID, j.Status, j.Attempts, claim.Ends)
	}
}

// story checks that the job's explanation ends where the job is, and begins where jobs begin.
func (c *check) story(ctx context.Context, j job) error {
	var x explanation
	if err := c.get(ctx, "/v1/jobs/"+j.ID+":explain", &x); err != nil {
		return err
	}
	if n := len(x.Steps); n < 2 || x.Steps[0].Phase != "escrowing" || x.Steps[n-1].Phase != j.Phase || x.Steps[n-1].Outcome != j.Status {
		c.find("job %s is %s/%s and its history tells something else: %v", j.ID, j.Status, j.Phase, x.Steps)
		return nil
	}
	attempts, runs := map[int]bool{}, 0
	for _, s := range x.Steps {
		if s.Attempt > 0 && !attempts[s.Attempt] {
			attempts[s.Attempt] = true
			runs++
		}
	}
	if runs != j.Attempts {
		c.find("job %s had %d attempts and its history tells of %d", j.ID, j.Attempts, runs)
	}
	return nil
}

// money checks that the job's escrow went where it should, by the coordinator and by the ledger.
func (c *check) money(ctx context.Context, j job) error {
	escrow, _ := coins(j.MaxPrice)
	cost, _ := coins(j.Cost)
	refund := int64(0)
	if j.Refund != nil {
		refund, _ = coins(j.Refund.Amount)
	}
	settled, err := c.settlement(ctx, j.ID, c.account.Operator)
	if err != nil {
		return err
	}
	switch {
	case settled.open:
		c.find("job %s is at its end and its escrow is open on the ledger", j.ID)
	case !settled.there && j.TxHash == "" && cost == 0 && refund == 0: // its escrow was refused, nothing moved
	case !settled.there:
		c.find("job %s: the ledger knows of no settlement", j.ID)
	case cost+refund != escrow:
		c.find("job %s: escrowed %d, paid %d, refunded %d", j.ID, escrow, cost, refund)
	case settled.paid != cost || settled.refunded != refund:
		c.find("job %s: the coordinator says paid %d and refunded %d, the ledger %d and %d", j.ID, cost, refund, settled.paid, settled.refunded)
	case settled.receipt != (j.ReceiptID != ""):
		c.find("job %s: receipt %q, on the ledger: %v", j.ID, j.ReceiptID, settled.receipt)
	}
	if j.ReceiptID == "" {
		return nil
	}
	return c.receipt(ctx, j, cost, settled)
}

// receipt checks a job's receipt: what was hashed, what was billed, and where it is recorded.
func (c *check) receipt(ctx context.Context, j job, cost int64, settled settlement) error {
	var r receipt
	if err := c.get(ctx, "/v1/receipts/"+j.ReceiptID, &r); isNotFound(err) {
		c.find("job %s: its receipt %s does not exist", j.ID, j.ReceiptID)
		return nil
	} else if err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(j.Result))
	if r.ResultHash != hex.EncodeToString(hash[:]) {
		c.find("job %s: the receipt's hash %s is not the result's", j.ID, r.ResultHash)
	}
	if paid, _ := coins(r.AmountPaid); paid != cost || r.JobID != j.ID {
		c.find("job %s: cost %d, its receipt says %s for %s", j.ID, cost, r.AmountPaid, r.JobID)
	}
	price, _ := coins(r.Meter.PricePerSecond)
	most, _ := coins(r.Meter.MaxPrice)
	metered := int64(math.Round(r.Meter.MeteredTime * 1e6))
	if due := min(metered*price/1e6, most); due != cost {
		c.find("job %s: %d us at %d uaitbc a second are %d, %d was paid", j.ID, metered, price, due, cost)
	}
	if r.TxHash != settled.tx || int64(r.BlockHeight) != settled.height {
		c.find("job %s: the receipt says transaction %s in block %d, the ledger %s in %d", j.ID, r.TxHash, int64(r.BlockHeight), settled.tx, settled.height)
	}
	return nil
}

// lists checks that the account's list has the claimed jobs, each once, and no others.
func (c *check) lists(ctx context.Context) error {
	listed, token := map[string]bool{}, ""
	for {
		var page jobPage
		if err := c.get(ctx, "/v1/jobs?page_size=1000&page_token="+token, &page); err != nil {
			return err
		}
		for _, j := range page.Jobs {
			if listed[j.ID] {
				c.find("job %s is listed twice", j.ID)
			}
			listed[j.ID] = true
			if _, claimed := c.seen[j.ID]; !claimed {
				c.find("job %s is listed and was acknowledged to nobody", j.ID)
			}
		}
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	for id := range c.seen {
		if !listed[id] {
			c.find("job %s is not in its account's list", id)
		}
	}
	return nil
}

// sums checks the whole: supply, receipts, and the client's balance to the unit.
func (c *check) sums(ctx context.Context) error {
	status, err := c.ledgerStatus(ctx)
	if err != nil {
		return err
	}
	receipts, paid := int64(0), int64(0)
	for _, j := range c.seen {
		cost, _ := coins(j.Cost)
		paid += cost
		if j.ReceiptID != "" {
			receipts++
		}
	}
	c.report.Paid = paid
	balance, _ := coins(c.account.Balance)
	if status.total != c.Before.Supply || status.total != status.parts {
		c.find("the supply was %d, is %d, and its parts are %d", c.Before.Supply, status.total, status.parts)
	}
	if status.receipts-c.Before.Receipts != receipts {
		c.find("%d jobs have receipts, the ledger recorded %d", receipts, status.receipts-c.Before.Receipts)
	}
	if status.openEscrows != 0 {
		c.find("%d escrows are open on the ledger", status.openEscrows)
	}
	if c.Before.Balance-balance != paid {
		c.find("the client's balance fell by %d, its jobs cost %d", c.Before.Balance-balance, paid)
	}
	if status.stakes != c.Before.Stakes || status.burned != c.Before.Burned {
		c.find("an honest miner was punished: stakes were %d, are %d, burned was %d, is %d", c.Before.Stakes, status.stakes, c.Before.Burned, status.burned)
	}
	return c.earnings(ctx)
}

// earnings checks that each miner's balance rose by what its jobs cost.
func (c *check) earnings(ctx context.Context) error {
	due := map[string]int64{}
	for _, j := range c.seen {
		cost, _ := coins(j.Cost)
		due[j.MinerID] += cost
	}
	for id, before := range c.Before.Miners {
		now, err := c.balance(ctx, id)
		if err != nil {
			return err
		}
		if now-before != due[id] {
			c.find("the balance of miner %s rose by %d, its jobs cost %d", id, now-before, due[id])
		}
		delete(due, id)
	}
	for id, cost := range due {
		if cost != 0 {
			c.find("%d were paid to %q, which was no miner at the beginning", cost, id)
		}
	}
	return nil
}

// coins reads coin text exactly, in uaitbc.
func coins(text string) (int64, error) {
	number, ok := strings.CutSuffix(text, "aitbc")
	if !ok {
		return 0, fmt.Errorf("%q is no amount", text)
	}
	whole, part, _ := strings.Cut(number, ".")
	if len(part) > 6 {
		return 0, fmt.Errorf("%q has too many decimals", text)
	}
	var units int64
	_, err := fmt.Sscanf(whole+part+strings.Repeat("0", 6-len(part)), "%d", &units)
	return units, err
}
