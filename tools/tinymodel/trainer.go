package main

import (
	"math"
	"math/rand/v2"
	"sync"
)

const (
	// shards is how many goroutines share a batch. It is fixed, so that sums are
	// made in the same order whatever the machine.
	shards = 2
	// AdamW's settings.
	momentum, momentum2, weightDecay = 0.9, 0.98, 0.02
	// maxGradient is the length that a step's gradient is cut to.
	maxGradient = 1.0
)

// trainer improves one network step by step with AdamW.
type trainer struct {
	weights       *weights
	gradients     [shards]*weights
	passes        [shards]*pass
	mean, squares []float32 // running, of the gradients
	steps         int
}

func newTrainer(s shape, r *rand.Rand) *trainer {
	t := &trainer{weights: newWeights(s)}
	t.weights.randomise(s, r)
	for i := range shards {
		t.gradients[i], t.passes[i] = newWeights(s), newPass(s)
	}
	t.mean, t.squares = make([]float32, len(t.weights.flat)), make([]float32, len(t.weights.flat))
	return t
}

// step learns from one batch of windows and returns the mean loss a token.
func (t *trainer) step(batch [][]int, rate float64) float64 {
	total := 0
	for _, window := range batch {
		total += len(window) - 1
	}
	var losses [shards]float64
	var group sync.WaitGroup
	for s := range shards {
		group.Go(func() {
			clear(t.gradients[s].flat)
			for i := s; i < len(batch); i += shards {
				losses[s] += t.passes[s].learn(t.weights, t.gradients[s], batch[i], 1/float32(total))
			}
		})
	}
	group.Wait()
	gradient := t.gradients[0].flat
	for s := 1; s < shards; s++ {
		add(gradient, t.gradients[s].flat)
	}
	t.update(gradient, rate)
	var loss float64
	for _, l := range losses {
		loss += l
	}
	return loss / float64(total)
}

func (t *trainer) update(gradient []float32, rate float64) {
	var squares float64
	for _, x := range gradient {
		squares += float64(x) * float64(x)
	}
	clip := float32(1)
	if length := math.Sqrt(squares); length > maxGradient {
		clip = float32(maxGradient / length)
	}
	t.steps++
	stepSize := float32(rate / (1 - math.Pow(momentum, float64(t.steps))))
	correct2 := float32(1 / math.Sqrt(1-math.Pow(momentum2, float64(t.steps))))
	decay := float32(rate * weightDecay)
	for i, x := range gradient {
		x *= clip
		t.mean[i] = momentum*t.mean[i] + (1-momentum)*x
		t.squares[i] = momentum2*t.squares[i] + (1-momentum2)*x*x
		t.weights.flat[i] -= stepSize*t.mean[i]/(float32(math.Sqrt(float64(t.squares[i])))*correct2+1e-8) + decay*t.weights.flat[i]
	}
}

// rateAt warms up over 50 steps and falls along a cosine to a fiftieth.
func rateAt(step, steps int) float64 {
	const peak = 4e-3
	warm := peak * min(1, float64(step+1)/50)
	return warm * (0.02 + 0.98*0.5*(1+math.Cos(math.Pi*float64(step)/float64(steps))))
}

// complete continues the prompt by the likeliest token, n times or until the
// end token or the end of the window.
func (t *trainer) complete(tok *tokenizer, prompt string, n int) string {
	ids := tok.encode(prompt)
	from := len(ids)
	p := t.passes[0]
	for len(ids) < min(from+n, p.window) {
		p.forward(t.weights, ids)
		best := 0
		row := p.logits.row(len(ids) - 1)
		for i, v := range row {
			if v > row[best] {
				best = i
			}
		}
		ids = append(ids, best)
		if best == tokenEnd {
			break
		}
	}
	return tok.decode(ids[from:])
}
