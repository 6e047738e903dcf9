// Package coordinator is the service between clients and miners: it takes jobs, escrows their price
// on the ledger, hands them to miners over the streams these opened, verifies what comes back, and
// settles.
//
// How it is put together: internal/job is the domain, pure; internal/store keeps it, and all changes
// go through its Committer; internal/dispatch moves jobs from state to state and talks to miners through
// internal/session; internal/scheduler chooses the miner; internal/settlement drains the outbox to the
// ledger, which internal/ledger reads; internal/api and internal/gateway are the two faces, gRPC and REST,
// behind internal/auth.
//
// Invariants: durable before acknowledged; a state change and the ledger message it causes commit
// together; nothing runs before its escrow is committed. Start with Service.Run.
package coordinator
