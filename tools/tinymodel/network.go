package main

import (
	"math"
	"math/rand/v2"
)

// A transformer of the llama architecture: RMSNorm, rotary positions on
// neighbouring pairs (llama.cpp's layout, so its loader permutes nothing),
// grouped-query attention, SwiGLU, and one matrix for embedding and output.

const (
	normEpsilon  = 1e-5
	rotaryBase   = 10000
	headDim      = 16
	trainWindow  = 192 // tokens of one training example
	vocabularyOf = 640 // tokens; see the tokenizer
)

// shape is the size of a network and of the windows it is run on.
type shape struct {
	vocab, dim, layers, heads, kvHeads, ffn, window int
}

// newShape derives everything from width and depth: one key/value head serves
// two query heads, and the feed-forward layer is three times as wide.
func newShape(dim, layers int) shape {
	return shape{vocab: vocabularyOf, dim: dim, layers: layers, heads: dim / headDim, kvHeads: dim / headDim / 2, ffn: 3 * dim, window: trainWindow}
}

func (s shape) headDim() int { return s.dim / s.heads }
func (s shape) kvDim() int   { return s.kvHeads * s.headDim() }

// layerWeights are one layer's parts. A matrix has a row for each output.
type layerWeights struct {
	attentionNorm             []float32
	query, key, value, output matrix
	ffnNorm                   []float32
	gate, up, down            matrix
}

// weights are all numbers of a network, or the gradients by them. Every part is
// a piece of flat.
type weights struct {
	flat   []float32
	embed  matrix
	norm   []float32
	layers []layerWeights
}

func newWeights(s shape) *weights {
	perLayer := 2*s.dim + 2*s.dim*s.dim + 2*s.dim*s.kvDim() + 3*s.dim*s.ffn
	w := &weights{flat: make([]float32, s.vocab*s.dim+s.dim+s.layers*perLayer)}
	rest := w.flat
	vector := func(n int) (v []float32) { v, rest = rest[:n:n], rest[n:]; return v }
	grid := func(rows, cols int) matrix { return matrix{rows, cols, vector(rows * cols)} }
	w.embed, w.norm = grid(s.vocab, s.dim), vector(s.dim)
	for range s.layers {
		w.layers = append(w.layers, layerWeights{
			attentionNorm: vector(s.dim),
			query:         grid(s.dim, s.dim),
			key:           grid(s.kvDim(), s.dim),
			value:         grid(s.kvDim(), s.dim),
			output:        grid(s.dim, s.dim),
			ffnNorm:       vector(s.dim),
			gate:          grid(s.ffn, s.dim),
			up:            grid(s.ffn, s.dim),
			down:          grid(s.dim, s.ffn),
		})
	}
	return w
}

// randomise sets the start of a training: gains of one, matrices that keep the
// size of what passes through them.
func (w *weights) randomise(s shape, r *rand.Rand) {
	fill := func(m matrix, deviation float64) {
		for i := range m.data {
			m.data[i] = float32(r.NormFloat64() * deviation)
		}
	}
	ones := func(v []float32) {
		for i := range v {
			v[i] = 1
		}
	}
	in := 1 / math.Sqrt(float64(s.dim))
	residual := 1 / math.Sqrt(2*float64(s.layers)) // so that deep sums do not grow
	fill(w.embed, 0.05)
	ones(w.norm)
	for _, l := range w.layers {
		ones(l.attentionNorm)
		ones(l.ffnNorm)
		fill(l.query, in)
		fill(l.key, in)
		fill(l.value, in)
		fill(l.output, in*residual)
		fill(l.gate, in)
		fill(l.up, in)
		fill(l.down, residual/math.Sqrt(float64(s.ffn)))
	}
}
