// Package api is the miner's own port, for its owner: MinerService by gRPC and REST, health,
// reflection, /healthz and /metrics, all on one address.
//
// Invariants: nobody changes anything here without the owner's key; assigning a job only asks the
// coordinator for it, over the miner's session, so nothing runs that was not leased.
//
// The one port is split by a connection's first bytes (split.go): a gRPC client begins HTTP/2 with
// its preface, everybody else is served REST. Start at [New].
package api
