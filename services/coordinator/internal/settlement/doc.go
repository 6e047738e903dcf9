// Package settlement pays the coordinator's debts to the ledger: it drains the outbox, packs what
// is owed into transactions of the operator, and reports what became of each message, so that jobs
// move by what the ledger said and by nothing else.
//
//	outbox --load--> ready --pack, sign, broadcast--> in flight --committed--> verdicts --Sink--> gone
//	                   ^                                  |                        |
//	                   |<-- expired without a block ------|                        |
//	                   |<-- parked, until a later look <---------------------------|
//
// Who is authoritative: the store for what is owed, the ledger for what happened; the memory here
// (mirror) is an index that a crash may take. Two loops share it: the sender and the settler.
//
// Invariants:
//   - A message leaves the outbox only together with its outcome, in one transaction of the Sink.
//   - Sending again is harmless: within the life of a transaction the same bytes are sent again,
//     which the ledger admits once; afterwards the message travels in a new one, and DUPLICATE_JOB
//     or NOT_OPEN lead to a look at the job itself.
//   - "Never escrowed" is believed only when no transaction of ours can make the escrow any more:
//     by the ledger's clock, not by ours. "Cannot pay" is believed of a block, never of a check.
//   - An outcome that the sink never takes holds up no other.
//   - A refund is sent only for a job whose escrow is known to be committed.
//   - Nothing here is waited for by a submit: Notify never blocks.
//
// Start with Settlement and New; settlementtest holds implementations to the contract.
package settlement
