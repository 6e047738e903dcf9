// Package scheduler decides which miner runs which job. It is pure: it lives in memory, holds no
// goroutine, lock or clock, and gets time and randomness from its caller; docs/scheduling.md tells
// users what it does.
//
//	Enqueue --> waiting --Next, Claim--> held by a miner --Release--> gone (or Enqueue again)
//	                \--Dequeue--> gone
//
// A job waits in the line of its client and class. A class is everything that decides who may run
// it: model, pinned digest, price and excluded miners; so within one class either every job can be
// placed or none, and what cannot be placed blocks nobody else. Of a model's jobs those of a higher
// priority go first, but for one in sixteen; the clients of a model and a priority take turns by deficit
// round-robin, the models take turns among each other.
//
// Invariants: a job is waiting or held or neither, never both; a miner never holds more than its
// slots; Next leaves no job waiting that an able miner with a free slot could run, unless it
// reached its maximum. A decision costs O(log miners) plus a sample of bounded size; only when some
// classes of a model can be placed and others cannot does it also pass over the waiting clients.
//
// Start with Scheduler in scheduler.go, then choose.go (which miner) and queue.go (which job); trail.go has
// how a decision is explained later.
package scheduler
