package aitbc

import (
	"crypto/sha256"
	"fmt"
)

// Payload is what a client asks for. Only its commitment goes on the ledger.
type Payload struct {
	// Type is what to do: [TypeInference], [TypeChat] or [TypeEmbedding].
	Type string
	// Model is the model's full name.
	Model string
	// ModelDigest is the manifest digest the client pinned; zero: any.
	ModelDigest Hash
	// Prompt is the prompt; of a chat and an embedding, the content ([Chat.Content],
	// [EmbeddingContent]). It is hashed as it is.
	Prompt string
	// Options are the sampling options.
	Options Options
}

// FormatJSON is the format of an answer that is any JSON.
const FormatJSON = "json"

// Options are sampling options. Nil and empty ones are the engine's or the model's own.
type Options struct {
	Temperature   *float64
	NumPredict    *int32
	TopP          *float64
	TopK          *int32
	MinP          *float64
	RepeatPenalty *float64
	Seed          *int32
	Stop          []string
	// Format is the form of the answer: "json", or the text of a JSON schema, which is taken as it is.
	Format string
}

// Hash gives the payload's hash: SHA-256 of domain tag, type, model, pinned digest, prompt, and
// the options that are set, in the order of their names, each as its name and its value in
// canonical JSON (RFC 8785), but for a schema, whose text is taken as it is. Errors: [ErrMalformed] for
// a number that JSON cannot write and for a text that is not UTF-8.
func (p Payload) Hash() (Hash, error) {
	w := newWriter(tagPayload)
	w.text(p.Type)
	w.text(p.Model)
	w.fixed(p.ModelDigest[:])
	w.text(p.Prompt)
	options, err := p.Options.canonical()
	if err != nil {
		return Hash{}, fmt.Errorf("hash payload: %w", err)
	}
	w.uint32(uint32(len(options)))
	for _, o := range options {
		w.text(o.name)
		w.bytes(o.value)
	}
	return w.hash(), nil
}

// canonical lists the options that are set, by name, each with its value as RFC 8785 writes it.
func (o Options) canonical() ([]canonicalOption, error) {
	list := canonicalOptions{}
	list.format(o.Format)
	list.float("min_p", o.MinP)
	list.integer("num_predict", o.NumPredict)
	list.float("repeat_penalty", o.RepeatPenalty)
	list.integer("seed", o.Seed)
	list.texts("stop", o.Stop)
	list.float("temperature", o.Temperature)
	list.integer("top_k", o.TopK)
	list.float("top_p", o.TopP)
	return list.set, list.err
}

// Salt blinds the commitments of one order, so that neither prompt nor result can be guessed from
// the ledger. Client, coordinator and miner have it; the ledger never does.
type Salt [32]byte

// Commitment binds to content without showing it: SHA-256 of domain tag, salt, content hash.
func Commitment(salt Salt, content Hash) Hash {
	w := newWriter(tagCommitment)
	w.fixed(salt[:])
	w.fixed(content[:])
	return w.hash()
}

// ResultHash is the hash of a result's bytes, exactly as stored and returned.
func ResultHash(result []byte) Hash { return sha256.Sum256(result) }
