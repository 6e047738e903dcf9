package main

import "math"

// matrix holds rows of cols numbers, one row after the other. The four-fold
// loops below are what makes training take minutes instead of an hour; the
// order of their additions is part of the result, to the bit.
type matrix struct {
	rows, cols int
	data       []float32
}

func newMatrix(rows, cols int) matrix {
	return matrix{rows, cols, make([]float32, rows*cols)}
}

func (m matrix) row(i int) []float32 { return m.data[i*m.cols:][:m.cols] }

// top is the first n rows, of the same memory.
func (m matrix) top(n int) matrix { return matrix{n, m.cols, m.data[:n*m.cols]} }

// multiply: y[t,o] = sum over i of x[t,i] w[o,i].
func multiply(y, x, w matrix) {
	for t := range y.rows {
		in, out := x.row(t), y.row(t)
		o := 0
		for ; o+4 <= w.rows; o += 4 {
			w0, w1, w2, w3 := w.row(o)[:len(in)], w.row(o + 1)[:len(in)], w.row(o + 2)[:len(in)], w.row(o + 3)[:len(in)]
			var a, b, c, d float32
			for i, v := range in {
				a += v * w0[i]
				b += v * w1[i]
				c += v * w2[i]
				d += v * w3[i]
			}
			out[o], out[o+1], out[o+2], out[o+3] = a, b, c, d
		}
		for ; o < w.rows; o++ {
			var a float32
			for i, v := range in {
				a += v * w.row(o)[i]
			}
			out[o] = a
		}
	}
}

// backToInput: dx[t,i] += sum over o of dy[t,o] w[o,i].
func backToInput(dx, dy, w matrix) {
	for t := range dy.rows {
		in, out := dx.row(t), dy.row(t)
		o := 0
		for ; o+4 <= w.rows; o += 4 {
			w0, w1, w2, w3 := w.row(o)[:len(in)], w.row(o + 1)[:len(in)], w.row(o + 2)[:len(in)], w.row(o + 3)[:len(in)]
			a, b, c, d := out[o], out[o+1], out[o+2], out[o+3]
			for i := range in {
				in[i] += a*w0[i] + b*w1[i] + c*w2[i] + d*w3[i]
			}
		}
		for ; o < w.rows; o++ {
			for i := range in {
				in[i] += out[o] * w.row(o)[i]
			}
		}
	}
}

// backToWeights: dw[o,i] += sum over t of dy[t,o] x[t,i].
func backToWeights(dw, dy, x matrix) {
	t := 0
	for ; t+4 <= dy.rows; t += 4 {
		x0, x1, x2, x3 := x.row(t), x.row(t+1), x.row(t+2), x.row(t+3)
		for o := range dw.rows {
			a, b, c, d := dy.row(t)[o], dy.row(t + 1)[o], dy.row(t + 2)[o], dy.row(t + 3)[o]
			row := dw.row(o)[:len(x0)]
			for i := range row {
				row[i] += a*x0[i] + b*x1[i] + c*x2[i] + d*x3[i]
			}
		}
	}
	for ; t < dy.rows; t++ {
		for o := range dw.rows {
			a := dy.row(t)[o]
			for i, v := range x.row(t) {
				dw.row(o)[i] += a * v
			}
		}
	}
}

// normalise is RMSNorm: each row of x divided by its root mean square and
// scaled by gain. It leaves the divisors' inverses in inverse.
func normalise(y matrix, inverse []float32, x matrix, gain []float32) {
	for t := range y.rows {
		in, out := x.row(t), y.row(t)
		var squares float64
		for _, v := range in {
			squares += float64(v) * float64(v)
		}
		r := float32(1 / math.Sqrt(squares/float64(len(in))+normEpsilon))
		inverse[t] = r
		for i, v := range in {
			out[i] = v * r * gain[i]
		}
	}
}

// normaliseBack adds to dx and to dgain what dy means for them.
func normaliseBack(dx matrix, dgain []float32, dy, x matrix, inverse, gain []float32) {
	for t := range dy.rows {
		in, din, dout, r := x.row(t), dx.row(t), dy.row(t), inverse[t]
		var dot float32
		for i, v := range in {
			dot += dout[i] * gain[i] * v
		}
		k := dot * r * r * r / float32(len(in))
		for i, v := range in {
			dgain[i] += dout[i] * v * r
			din[i] += dout[i]*gain[i]*r - v*k
		}
	}
}

func add(to, from []float32) {
	for i := range to {
		to[i] += from[i]
	}
}

func exp32(x float32) float32 { return float32(math.Exp(float64(x))) }
