// Package attempt runs leases: it checks them, has the engine answer, signs the statement, and knows
// at any moment what the miner's whole state is. It outlives the connections to the coordinator,
// which only carry orders in (Offer, Revoke, Accept) and reports out (ReportTo, Result).
//
// A lease's life here; the coordinator is the authority on what should be, this package on what is:
//
//	          Offer                  answer, statement on disk             Accept
//	unknown --------> running ------------------------------> waiting ------------> accepted
//	   |                 |  Revoke(settle): stop, sign what was done ^  |  Revoke
//	   | refused         |  (settle_at_limit: the same at the limit) |  +-----------> evidence
//	   |                 +-------------------------------------------+
//	   |                 |  engine failed, limit, Revoke(no settle)
//	   +---------------> ended (a failure to tell, or nothing)
//
// Invariants:
//   - an order may come any number of times; a lease that runs, waits or has ended is never run
//     again, its outcome is just told again;
//   - a lease gets one statement at most (package spool holds that across restarts), and nothing is
//     told of it before it is on disk;
//   - an operator hears of its own leases only, and what it orders concerns no other's;
//   - never more leases run than there are slots; the rest is refused, not queued;
//   - what is checked is what was signed: a lease whose bytes, order and payload do not belong
//     together never reaches the engine.
//
// Start at [Runner.Offer], then execute.
package attempt
