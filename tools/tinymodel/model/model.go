// Package model carries the project's own language model, so that any program
// or test can give it to an Ollama server without a model hub.
//
// The file is what the program in the folder above writes with its default
// flags; its checksum is fixed here and tested. The constants below and the
// Modelfile say the same thing twice, for the HTTP API and for `ollama create`:
// a test holds them together. Start with File.
package model

import (
	_ "embed"
	"slices"
)

const (
	// Name is what the model is called in an Ollama server and in a job.
	Name = "tiny"
	// SHA256 is the lower-case hex checksum of File, which is also the digest of the blob that Ollama keeps.
	SHA256 = "70bf6ea5813663b607076eceb20b45680fb06415627de7eb9bcd090b35c792b2"
	// Template turns a conversation into the model's text; it is Go template text as Ollama reads it.
	Template = `{{- range $i, $m := .Messages }}{{ if eq .Role "system" }}<|system|>{{ .Content }}{{ else if eq .Role "user" }}<|user|>{{ .Content }}` +
		`{{ else if eq .Role "assistant" }}<|assistant|>{{ .Content }}<|end|>{{ end }}{{ end }}<|assistant|>`
	// Threads is the num_thread parameter. One, because the default of one a
	// core makes so small a model ten to a hundred times slower: the threads
	// spend their time waiting for each other.
	Threads = 1
)

const (
	// Question is the prompt that this project is shown with.
	Question = "What is machine learning?"
	// Answer is the model's whole answer to Question at temperature 0.
	Answer = "Machine learning is a subset of artificial intelligence in which a program learns from examples " +
		"instead of following fixed rules. It finds patterns in data and uses them to answer new questions."
	// QuestionTokens and AnswerTokens are what Ollama counts for the two; each
	// includes the tokens that a reader does not see.
	QuestionTokens = 8
	AnswerTokens   = 35
)

//go:embed tiny.gguf
var file []byte

// File returns a copy of the model as one GGUF file (0.4 MB).
func File() []byte { return slices.Clone(file) }

// Parameters returns the parameters that the model is created with.
func Parameters() map[string]any { return map[string]any{"num_thread": Threads} }
