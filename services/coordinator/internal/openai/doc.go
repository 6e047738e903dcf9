// Package openai serves OpenAI's HTTP API on the coordinator's REST port: chat completions,
// completions, embeddings and models. Each request is a job like any other, submitted and watched over
// the in-process connection, so keys, limits, escrow and receipts are those of all calls.
//
// What holds:
//   - The answer goes out when its result is verified and durable; it does not wait for the ledger.
//   - A stream is one attempt's answer: when that attempt dies after it has said something, the stream
//     ends with an error, and two answers are never mixed.
//   - A caller that goes away before its answer cancels the job, unless it gave an Idempotency-Key:
//     then the job goes on, and the same request gets its answer.
//   - A field that would change the answer and is not supported is refused by name. Errors have
//     OpenAI's shape with our reason inside.
//
// Start reading at Handler.ServeHTTP.
package openai
