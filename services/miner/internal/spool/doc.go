// Package spool keeps a miner's signed results on disk.
//
// Purpose: a result is durable before anybody hears of it, and a lease gets at most one statement
// for ever, also across crashes.
//
//	          Put                 Accept
//	(nothing) ----> waiting/<id> --------> accepted/<id>   statement and acceptance: what claims the pay
//	                     |       Revoke
//	                     +---------------> evidence/<id>   a statement that will not be paid
//
// Invariants:
//   - a record is complete or absent: it is written beside its place, synced, renamed, and the
//     folder is synced, before a method returns;
//   - a lease id that is in any of the three folders is never put again;
//   - accepted and evidence records have no prompt and no answer any more, only what is signed and
//     the salt. The oldest beyond a bound go, but never before the job's settlement deadline:
//     until then the record is worth money, and its lease could still be handed over again;
//   - one process per folder, held by a lock that ends with the process.
//
// Start at [Open].
package spool
