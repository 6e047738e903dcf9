// Package executor runs prompts on an Ollama server.
//
// Purpose: one prompt in, one answer out, with what the engine measured. The failures keep their
// class: who calls decides by [Failure.Reason] whether another miner should try.
//
// Invariants:
//   - an answer is complete only when the engine said `done`; a stream that just ends is a failure;
//   - the text is the concatenation of the engine's chunks, byte for byte, and at most [MaxText];
//   - nothing that would reload a model (context size, threads, layers) is ever sent: those options
//     belong to the machine's owner. The prompt is never cut (`truncate` false) and the context
//     never shifted (`shift` false), and `num_predict` is always set, so every request ends;
//   - an absent model is a failure, never replaced by another.
//
// Start at [Ollama.Generate]. The contract is declared by its consumer (package attempt) and held
// by the suite in executortest.
package executor
