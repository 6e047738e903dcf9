// Package aitbc is the Go client of an AITBC network, and the vocabulary that all its sides share.
//
// AITBC sells AI inference: a client submits a job with a price limit, a coordinator holds the
// client's tokens in escrow on a ledger and hands the job to a miner, the miner answers with a
// signed proof, and the ledger pays for the compute used, refunds the rest and keeps a receipt.
//
//	client, err := aitbc.New("127.0.0.1:18002", aitbc.WithAPIKey(key))
//	...
//	job, err := client.Run(ctx, aitbc.SubmitRequest{Prompt: "What is machine learning?", Model: "llama3.2"})
//	...
//	fmt.Println(job.Result, job.Cost)
//
// # Jobs
//
// [Client.Run] submits and waits; [Client.Submit] returns as soon as the job is durable, and
// [Client.Wait], [Client.Watch], [Client.Get] and [Client.Cancel] do the rest. [Client.Stream] and
// [Client.Tokens] give an answer as it is made and resume by themselves when a connection breaks.
// [Client.Jobs] lists, [Client.Quote] says what a job would cost, [Client.Explain] why it is where it
// is. A [SubmitRequest] is an inference (Prompt), a chat ([Chat]) or an embedding (Input).
//
// # Errors and repeats
//
// A call that fails gives an [*Error] with a [Reason], a job that fails a [*JobError]; both are for
// [errors.As]. What is safe to try again is tried again ([RetryPolicy]), and everything is: calls that
// make something carry a request id. Set it yourself ([SubmitRequest], [CreateKeyRequest]) to be safe
// across restarts of your program, too.
//
// # Money and accounts
//
// An [Amount] is a whole number of the smallest units; its text is coin text, "0.25aitbc".
// [Client.Account] and [Client.Statement] show an account. Either the operator keeps its key, or you do
// and sign each [Order] ([WithOrderKey]) or grant the operator an [Allowance] ([Wallet.Grant]).
// API keys are made by admins: [Client.CreateKey].
//
// # Proof
//
// [Client.Receipt] reads a receipt and [VerifyReceipt] checks everything signed in it, without trust in
// the coordinator; package verify, apart because of what it imports, checks that the ledger holds it.
//
// # Tests and tracing
//
// Package aitbctest is a coordinator in memory for your tests. [WithObserver] and [WithStatsHandler]
// connect OpenTelemetry or anything like it.
//
// # Vocabulary
//
// [AccountID], [JobID] and [Amount], and the signed things: [Order] (what a client authorises), [Lease]
// (the hand-over of one attempt to one miner), [Statement] (what the miner says it did), [Acceptance]
// (the operator's word that the statement was verified and its result is durable) and transactions
// ([SignTx], [Wallet]).
//
// Invariants: every signed thing has exactly one encoding ("signing bytes", docs/signing.md) with
// a domain tag and the chain id in it; what is signed, hashed and verified are those bytes, never
// a protobuf encoded again. Nothing signed or settled is ever a floating-point number.
package aitbc
