package main

import "fmt"

// contextLength is what the file promises. Training sees windows of 192 tokens
// only; further on the text gets worse, but it comes.
const contextLength = 2048

// GGUF's values for a file's and a token's type.
const (
	fileFloat32, fileFloat16  = 0, 1
	tokenNormal, tokenControl = 1, 3
)

// encodeModel makes the GGUF file of a trained network, as Ollama and llama.cpp
// expect a llama model with GPT-2's tokenizer.
func encodeModel(s shape, w *weights, tok *tokenizer, half bool) ([]byte, error) {
	return encodeGGUF(metadata(s, w, tok, half), tensors(s, w), half)
}

func metadata(s shape, w *weights, tok *tokenizer, half bool) []entry {
	fileType := uint32(fileFloat32)
	if half {
		fileType = fileFloat16
	}
	tokenTypes := make([]int32, s.vocab)
	for i := range tokenTypes {
		tokenTypes[i] = tokenNormal
		if i < len(tok.special) {
			tokenTypes[i] = tokenControl
		}
	}
	return []entry{
		{"general.architecture", "llama"},
		{"general.name", "tiny"},
		{"general.file_type", fileType},
		{"general.parameter_count", uint32(len(w.flat))},
		{"llama.vocab_size", uint32(s.vocab)},
		{"llama.context_length", uint32(contextLength)},
		{"llama.embedding_length", uint32(s.dim)},
		{"llama.block_count", uint32(s.layers)},
		{"llama.feed_forward_length", uint32(s.ffn)},
		{"llama.attention.head_count", uint32(s.heads)},
		{"llama.attention.head_count_kv", uint32(s.kvHeads)},
		{"llama.attention.layer_norm_rms_epsilon", float32(normEpsilon)},
		{"llama.rope.dimension_count", uint32(s.headDim())},
		{"llama.rope.freq_base", float32(rotaryBase)},
		{"tokenizer.ggml.model", "gpt2"},
		{"tokenizer.ggml.pre", "gpt-2"},
		{"tokenizer.ggml.tokens", tok.tokens},
		{"tokenizer.ggml.token_type", tokenTypes},
		{"tokenizer.ggml.scores", make([]float32, s.vocab)},
		{"tokenizer.ggml.merges", tok.merges},
		{"tokenizer.ggml.bos_token_id", uint32(tokenBegin)},
		{"tokenizer.ggml.eos_token_id", uint32(tokenEnd)},
		{"tokenizer.ggml.add_bos_token", true},
		{"tokenizer.ggml.add_eos_token", false},
	}
}

func tensors(s shape, w *weights) []tensor {
	vector := func(name string, v []float32) tensor { return tensor{name, []uint64{uint64(len(v))}, v} }
	grid := func(name string, m matrix) tensor {
		return tensor{name, []uint64{uint64(m.cols), uint64(m.rows)}, m.data}
	}
	all := []tensor{grid("token_embd.weight", w.embed), vector("output_norm.weight", w.norm)}
	for i, l := range w.layers {
		block := fmt.Sprintf("blk.%d.", i)
		all = append(all,
			vector(block+"attn_norm.weight", l.attentionNorm),
			grid(block+"attn_q.weight", l.query),
			grid(block+"attn_k.weight", l.key),
			grid(block+"attn_v.weight", l.value),
			grid(block+"attn_output.weight", l.output),
			vector(block+"ffn_norm.weight", l.ffnNorm),
			grid(block+"ffn_gate.weight", l.gate),
			grid(block+"ffn_up.weight", l.up),
			grid(block+"ffn_down.weight", l.down),
		)
	}
	return all
}
