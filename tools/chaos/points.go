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

// faults are what can be planted, with what it does.
var faults = []struct{ name, what string }{
	{"lost-job", "one job in four is acknowledged and never stored"},
	{"forgotten-key", "an idempotency key makes a second job"},
	{"altered-result", "a result is stored with one byte more than was signed"},
	{"dropped-refund", "a refund is never sent to the ledger"},
	{"dropped-receipt", "a receipt is never sent to the ledger"},
	{"skimmed", "the coordinator books one unit less than the ledger paid"},
	{"hidden-refund", "a refund is not shown"},
	{"free-lunch", "a job's cost is shown as nothing"},
	{"paid-and-failed", "a job that was paid is shown as failed"},
	{"no-receipt", "a receipt's id is not shown"},
	{"unstable-end", "a completed job is shown as cancelled every other time"},
	{"other-hash", "a receipt shows another hash than the result's"},
	{"overpaid", "a receipt shows half the time that was billed"},
	{"other-transaction", "a receipt names another transaction than the ledger's"},
	{"missing-step", "a job's history lacks its end"},
}
