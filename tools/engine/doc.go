// Package engine provides a real Ollama server to the commands and tests of
// this project.
//
// Start takes the first of these that works:
//
//  1. the server that already runs at OLLAMA_HOST (default 127.0.0.1:11434),
//     when it has the wanted models; it is only ever asked, never written to;
//  2. a server of our own from the `ollama` on PATH;
//  3. a server of our own from a binary that Ensure builds once from Ollama's
//     Go module and keeps in a cache folder outside the tree.
//
// What holds for a server of our own: it has its own model store, home and log;
// it listens on loopback, on a free port unless told otherwise; it serves only
// models made from the file in tools/tinymodel/model; it has answered one real
// prompt before Start returns; and neither it nor its runner (Ollama starts one
// child for each loaded model) outlives Stop, Kill or, on Linux, the death of
// the process that started it.
//
// Start reading at Start (engine.go); the build is in build.go and require.go.
// Tests get an engine from the package enginetest beside this one.
package engine
