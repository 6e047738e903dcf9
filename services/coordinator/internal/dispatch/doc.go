// Package dispatch runs jobs: it joins the store, the scheduler, the miners' sessions and the
// ledger's outcomes. It is the one owner of the coordinator's state in memory.
//
//	api --Submit--> [store: escrowing + owed SubmitJob] --settlement--> Settle --> queued
//	     scheduler.Next --> [store: leased + signed] --> Link.Lease --> miner
//	     session --Start, Complete, Fail--> [store] --> Accepted --settlement--> Settle --> done
//
// Who is authoritative: the store. Every change of a job reads the job in its transaction, makes
// one step of package job on it and writes it back, all on the committer's goroutine; there the
// change gets a number. What is in memory (queues, slots, timers, open leases) is derived from the
// job as a whole and follows the highest number, so it does not matter in which order goroutines
// come back from their commits, and a restart rebuilds it from what is under way (shard.go). Of the
// jobs that wait only those near the head of their line are in memory (window.go).
//
// Invariants: a slot is reserved before its lease is committed and free only when the lease has
// ended; a lease goes to a miner only after it is durable; a result is acknowledged only after it
// is durable; the lock is never held over a commit, a read of the store or a call to the ledger.
//
// Watchers: package stream holds what they see; here each live job that is watched or has said
// something has its topic, moved in apply like everything else in memory.
//
// Timers: one heap of deadlines, served by Run, which also hands out leases. Start with
// Dispatcher, then change.go (how a change is made), memory.go (what follows from it) and window.go
// (what is not in memory).
package dispatch
