package main

import "math"

// gradientState is scratch for the way back: the loss's gradient by what the
// field of the same name holds on the way forward.
type gradientState struct {
	stream, normed   matrix // stream: by a layer's output, then by its input
	attended, query  matrix
	key, value       matrix
	gate, up, hidden matrix
	chance           []float32
}

func newGradientState(s shape) gradientState {
	grid := func(cols int) matrix { return newMatrix(s.window, cols) }
	return gradientState{
		stream: grid(s.dim), normed: grid(s.dim), attended: grid(s.dim), query: grid(s.dim),
		key: grid(s.kvDim()), value: grid(s.kvDim()),
		gate: grid(s.ffn), up: grid(s.ffn), hidden: grid(s.ffn),
		chance: make([]float32, s.window),
	}
}

// top is the state of the first n positions, in the same memory.
func (g gradientState) top(n int) gradientState {
	return gradientState{
		stream: g.stream.top(n), normed: g.normed.top(n), attended: g.attended.top(n), query: g.query.top(n),
		key: g.key.top(n), value: g.value.top(n),
		gate: g.gate.top(n), up: g.up.top(n), hidden: g.hidden.top(n), chance: g.chance,
	}
}

// learn runs one window forward and back, adds the gradients times share to
// those in d, and returns the summed cross-entropy of predicting each token
// from those before it.
func (p *pass) learn(w, d *weights, tokens []int, share float32) float64 {
	in, want := tokens[:len(tokens)-1], tokens[1:]
	n := len(in)
	p.forward(w, in)
	loss := p.lossBack(want, share)

	g := p.gradient.top(n)
	logits := p.logits.top(n) // by now their gradients
	clear(g.normed.data)
	clear(g.stream.data)
	backToInput(g.normed, logits, w.embed)
	backToWeights(d.embed, logits, p.normed.top(n))
	normaliseBack(g.stream, d.norm, g.normed, p.last.top(n), p.inverse, w.norm)
	for i := len(p.layers) - 1; i >= 0; i-- {
		l := p.layers[i].top(n)
		ffnBack(g, l, w.layers[i], d.layers[i])
		p.attentionBack(g, l, w.layers[i], d.layers[i])
	}
	for t, id := range in {
		add(d.embed.row(id), g.stream.row(t))
	}
	return loss
}

// lossBack returns the loss and turns the logits into the gradients by them.
func (p *pass) lossBack(want []int, share float32) float64 {
	var loss float64
	for t, id := range want {
		row := p.logits.row(t)
		largest := float32(math.Inf(-1))
		for _, v := range row {
			largest = max(largest, v)
		}
		var sum float64
		for i, v := range row {
			row[i] = exp32(v - largest)
			sum += float64(row[i])
		}
		loss += math.Log(sum) - math.Log(float64(row[id])+1e-30)
		for i := range row {
			row[i] *= share / float32(sum)
		}
		row[id] -= share
	}
	return loss
}

func ffnBack(g gradientState, l layerState, w, d layerWeights) {
	clear(g.hidden.data)
	backToInput(g.hidden, g.stream, w.down)
	backToWeights(d.down, g.stream, l.hidden)
	for i, x := range l.gate.data {
		up, dh := l.up.data[i], g.hidden.data[i]
		sigmoid := 1 / (1 + exp32(-x))
		g.up.data[i] = dh * x * sigmoid
		g.gate.data[i] = dh * up * sigmoid * (1 + x*(1-sigmoid))
	}
	clear(g.normed.data)
	backToInput(g.normed, g.gate, w.gate)
	backToInput(g.normed, g.up, w.up)
	backToWeights(d.gate, g.gate, l.ffnNormed)
	backToWeights(d.up, g.up, l.ffnNormed)
	normaliseBack(g.stream, d.ffnNorm, g.normed, l.middle, l.ffnInverse, w.ffnNorm)
}

func (p *pass) attentionBack(g gradientState, l layerState, w, d layerWeights) {
	clear(g.attended.data)
	backToInput(g.attended, g.stream, w.output)
	backToWeights(d.output, g.stream, l.attended)
	clear(g.query.data)
	clear(g.key.data)
	clear(g.value.data)
	for h := range p.heads {
		for t := range l.in.rows {
			p.attendBack(g, l, h, t)
		}
	}
	p.rotary.turn(g.query, -1)
	p.rotary.turn(g.key, -1)
	clear(g.normed.data)
	backToInput(g.normed, g.query, w.query)
	backToInput(g.normed, g.key, w.key)
	backToInput(g.normed, g.value, w.value)
	backToWeights(d.query, g.query, l.normed)
	backToWeights(d.key, g.key, l.normed)
	backToWeights(d.value, g.value, l.normed)
	normaliseBack(g.stream, d.attentionNorm, g.normed, l.in, l.inverse, w.attentionNorm)
}

// attendBack is the way back through attend.
func (p *pass) attendBack(g gradientState, l layerState, h, t int) {
	kv := h / p.group()
	chances, dchances := p.chances(l, h, t), g.chance[:t+1]
	dout := p.head(g.attended, t, h)
	var mean float32
	for s := range chances {
		value, dvalue := p.head(l.value, s, kv), p.head(g.value, s, kv)
		var dot float32
		chance := chances[s]
		for i, y := range dout {
			dot += y * value[i]
			dvalue[i] += chance * y
		}
		dchances[s] = dot
		mean += dot * chance
	}
	query, dquery := p.head(l.query, t, h), p.head(g.query, t, h)
	for s := range chances {
		dscore := chances[s] * (dchances[s] - mean) * p.scale()
		key, dkey := p.head(l.key, s, kv), p.head(g.key, s, kv)
		for i := range dquery {
			dquery[i] += dscore * key[i]
			dkey[i] += dscore * query[i]
		}
	}
}
