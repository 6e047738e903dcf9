// Package miner is the miner service: it dials out to a coordinator, runs the leases it gets on an
// Ollama server, signs what was done and keeps each result on disk until it is accepted.
//
// A Service is used once: New, then Run. Any number of Services, each with a state folder of its
// own, may run in one process. When Run's context ends the miner drains: it takes nothing new,
// finishes what it runs within a deadline, and leaves.
//
//	session (stream to the coordinator) --orders--> attempt (runs leases) --> executor (Ollama)
//	        <--------- reports ---------               |  ^                   device (CPU, GPU)
//	api (the owner's port) --claims--> session         v  |
//	                                                  spool (signed results on disk)
//
// Start at [Service.Run]; docs/miner.md is for owners, docs/protocol.md for the stream.
package miner
