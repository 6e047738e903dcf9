// Package stream lets people watch jobs: it keeps the text of running attempts in memory and gives
// each watcher every byte of it once, in order, whatever is cut or restarted in between.
//
//	miner's pieces --Append--> topic: job, attempt, text --Next--> state, text, reset, done --> watcher
//	job's changes  --Move----^
//
// Everything is level-triggered. A topic holds what is so now, a watcher what it has shown (its
// Cursor), and the next event is the difference. So a watcher that is slow gets fewer and larger
// pieces, nobody waits for it, and there is no queue that could overflow.
//
// Who is authoritative: the accepted result, once there is one; until then the miner's pieces, which
// may turn out to be wrong. A cursor holds a checksum of the text that was shown: wherever the text
// is another one (another attempt, a miner that began anew after a crash, a miner that lied), the
// watcher gets a reset and then all of the new text. So no watcher ever ends with a mixture.
//
// Invariants: what a watcher was given since its last reset is a prefix of one attempt's text; with
// done it is the whole result, if there is one; a piece of text ends between characters; memory is
// bounded by Config.
//
// Locks, in this order: the dispatcher's, Topic.mu, Hub.mu. Start with Topic, then Watcher.Next.
package stream
