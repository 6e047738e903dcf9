package main

import "math"

// layerState is what one layer computes on the way forward; the way back needs it again.
type layerState struct {
	in, normed        matrix
	inverse           []float32
	query, key, value matrix
	probability       matrix // rows: head by head, a row for each position
	attended, middle  matrix
	ffnNormed         matrix
	ffnInverse        []float32
	gate, up, hidden  matrix
}

// pass is the memory of one run over one window: what was computed forward, and
// scratch for the gradients. One goroutine uses it at a time.
type pass struct {
	shape
	rotary   rotary
	layers   []layerState
	last     matrix // after the last layer
	normed   matrix
	inverse  []float32
	logits   matrix
	gradient gradientState
}

func newPass(s shape) *pass {
	grid := func(cols int) matrix { return newMatrix(s.window, cols) }
	p := &pass{
		shape: s, rotary: newRotary(s),
		last: grid(s.dim), normed: grid(s.dim), inverse: make([]float32, s.window), logits: grid(s.vocab),
		gradient: newGradientState(s),
	}
	for range s.layers {
		p.layers = append(p.layers, layerState{
			in: grid(s.dim), normed: grid(s.dim), inverse: make([]float32, s.window),
			query: grid(s.dim), key: grid(s.kvDim()), value: grid(s.kvDim()),
			probability: newMatrix(s.heads*s.window, s.window),
			attended:    grid(s.dim), middle: grid(s.dim),
			ffnNormed: grid(s.dim), ffnInverse: make([]float32, s.window),
			gate: grid(s.ffn), up: grid(s.ffn), hidden: grid(s.ffn),
		})
	}
	return p
}

// top is the state of the first n positions, in the same memory.
func (l layerState) top(n int) layerState {
	l.in, l.normed, l.query, l.key, l.value = l.in.top(n), l.normed.top(n), l.query.top(n), l.key.top(n), l.value.top(n)
	l.attended, l.middle, l.ffnNormed = l.attended.top(n), l.middle.top(n), l.ffnNormed.top(n)
	l.gate, l.up, l.hidden = l.gate.top(n), l.up.top(n), l.hidden.top(n)
	return l
}

// forward computes the logits of every position of tokens, of which there may
// be as many as the window is long.
func (p *pass) forward(w *weights, tokens []int) {
	n := len(tokens)
	first := p.last
	if len(p.layers) > 0 {
		first = p.layers[0].in
	}
	for t, id := range tokens {
		copy(first.row(t), w.embed.row(id))
	}
	for i, weights := range w.layers {
		out := p.last
		if i+1 < len(p.layers) {
			out = p.layers[i+1].in
		}
		p.layerForward(p.layers[i].top(n), weights, out.top(n))
	}
	normalise(p.normed.top(n), p.inverse, p.last.top(n), w.norm)
	multiply(p.logits.top(n), p.normed.top(n), w.embed)
}

func (p *pass) layerForward(l layerState, w layerWeights, out matrix) {
	normalise(l.normed, l.inverse, l.in, w.attentionNorm)
	multiply(l.query, l.normed, w.query)
	multiply(l.key, l.normed, w.key)
	multiply(l.value, l.normed, w.value)
	p.rotary.turn(l.query, 1)
	p.rotary.turn(l.key, 1)
	clear(l.attended.data)
	for h := range p.heads {
		for t := range l.in.rows {
			p.attend(l, h, t)
		}
	}
	multiply(l.middle, l.attended, w.output)
	add(l.middle.data, l.in.data)

	normalise(l.ffnNormed, l.ffnInverse, l.middle, w.ffnNorm)
	multiply(l.gate, l.ffnNormed, w.gate)
	multiply(l.up, l.ffnNormed, w.up)
	for i, x := range l.gate.data {
		l.hidden.data[i] = x / (1 + exp32(-x)) * l.up.data[i]
	}
	multiply(out, l.hidden, w.down)
	add(out.data, l.middle.data)
}

// attend lets head h of position t look at all positions up to its own.
func (p *pass) attend(l layerState, h, t int) {
	chances := p.chances(l, h, t)
	query := p.head(l.query, t, h)
	largest := float32(math.Inf(-1))
	for s := range chances {
		var dot float32
		key := p.head(l.key, s, h/p.group())
		for i, x := range query {
			dot += x * key[i]
		}
		chances[s] = dot * p.scale()
		largest = max(largest, chances[s])
	}
	var sum float32
	for s := range chances {
		chances[s] = exp32(chances[s] - largest)
		sum += chances[s]
	}
	out := p.head(l.attended, t, h)
	for s := range chances {
		chances[s] /= sum
		chance := chances[s]
		value := p.head(l.value, s, h/p.group())
		for i := range out {
			out[i] += chance * value[i]
		}
	}
}

// head is the part of row t that belongs to head h.
func (p *pass) head(m matrix, t, h int) []float32 { return m.row(t)[h*p.headDim():][:p.headDim()] }

// chances are how much head h of position t looks at each position up to t.
func (p *pass) chances(l layerState, h, t int) []float32 {
	return l.probability.row(h*p.window + t)[:t+1]
}

// group is how many query heads share one key/value head.
func (p *pass) group() int { return p.heads / p.kvHeads }

func (p *pass) scale() float32 { return float32(1 / math.Sqrt(float64(p.headDim()))) }

// rotary turns queries and keys by an angle that grows with their position.
type rotary struct {
	headDim  int
	cos, sin []float32 // headDim/2 of each for a position
}

func newRotary(s shape) rotary {
	r := rotary{headDim: s.headDim()}
	for t := range s.window {
		for i := 0; i < r.headDim; i += 2 {
			angle := float64(t) * math.Pow(rotaryBase, -float64(i)/float64(r.headDim))
			r.cos = append(r.cos, float32(math.Cos(angle)))
			r.sin = append(r.sin, float32(math.Sin(angle)))
		}
	}
	return r
}

// turn turns every head of every row of m: forward with sign 1, back with -1.
func (r rotary) turn(m matrix, sign float32) {
	half := r.headDim / 2
	for t := range m.rows {
		row := m.row(t)
		for i := 0; i < len(row); i += 2 {
			k := t*half + i%r.headDim/2
			c, s := r.cos[k], r.sin[k]*sign
			row[i], row[i+1] = row[i]*c-row[i+1]*s, row[i]*s+row[i+1]*c
		}
	}
}
