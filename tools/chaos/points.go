package main

import "strings"

// points are the places at which a process is killed: before and after each durable step. Each is a
// crash.At in services/; one that a run does not pass is reported.
func points() []string {
	var all []string
	for _, step := range []string{
		"submit", "escrow", "lease", "start", "result", "refund", "done", "stop", "retry", "lose", "find",
		"hand-over", "broadcast", "settle", "acceptance", "flush",
	} {
		all = append(all, "coordinator/"+step+"/before", "coordinator/"+step+"/after")
	}
	for _, place := range []string{
		"lease/before", "lease/after", "run/before", "run/after", "result/before", "write/unsynced", "write/synced", "write/placed",
		"result/after", "send/before", "send/after", "accept/before", "accept/between", "accept/after",
	} {
		all = append(all, "miner/"+place)
	}
	for _, place := range []string{
		"check/before", "execute/before", "execute/after", "commit/before", "commit/between", "commit/after", "publish/after",
	} {
		all = append(all, "ledger/"+place)
	}
	return all
}

// ownerOf gives the process that passes a point.
func ownerOf(point string) string {
	name, _, _ := strings.Cut(point, "/")
	return name
}

// fault is something wrong that can be planted.
type fault struct {
	// in is the process that does it, name its name, what what it does.
	in, name, what string
}

// faults are all that can be planted.
func faults() []fault {
	return []fault{
		{coordinatorName, "lost-job", "one job in two is acknowledged and never stored"},
		{coordinatorName, "forgotten-key", "an idempotency key makes a second job"},
		{coordinatorName, "altered-result", "a result is stored with one byte more than was signed"},
		{coordinatorName, "dropped-refund", "a refund is never sent to the ledger"},
		{coordinatorName, "dropped-receipt", "a receipt is never sent to the ledger"},
		{coordinatorName, "skimmed", "the coordinator books one unit less than the ledger paid"},
		{coordinatorName, "hidden-refund", "a refund is not shown"},
		{coordinatorName, "free-lunch", "a job's cost is shown as nothing"},
		{coordinatorName, "paid-and-failed", "a job that was paid is shown as failed"},
		{coordinatorName, "no-receipt", "a receipt's id is not shown"},
		{coordinatorName, "unstable-end", "a completed job is shown as cancelled every other time"},
		{coordinatorName, "other-hash", "a receipt shows another hash than the result's"},
		{coordinatorName, "overpaid", "a receipt shows half the time that was billed"},
		{coordinatorName, "other-transaction", "a receipt names another transaction than the ledger's"},
		{coordinatorName, "missing-step", "a job's history lacks its end"},
		{ledgerName, "short-refund", "each refund is one unit short, which the operator gets"},
		{ledgerName, "double-pay", "a miner is paid twice, the second time from the client's balance"},
		{ledgerName, "other-payee", "the operator gets what the miner is owed"},
		{ledgerName, "unclosed-escrow", "a settled job's escrow stays open"},
		{ledgerName, "kept-escrow", "an escrow that is due back stays"},
		{ledgerName, "no-leaf", "a receipt does not get into the log"},
		{ledgerName, "forgotten-settlement", "how a job was settled is not kept"},
		{minerName, "stale-answer", "a miner signs the answer of the lease before"},
		{minerName, "other-bytes", "a miner sends other bytes than those whose hash it signed"},
		{minerName, "two-answers", "a miner answers a lease twice, each time signed"},
		{minerName, "kept-result", "one result in two is never sent"},
	}
}
