package main

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The codes of GGUF version 3 that are used here.
const (
	ggufVersion   = 3
	ggufAlignment = 32
	typeUint32    = 4
	typeInt32     = 5
	typeFloat32   = 6
	typeBool      = 7
	typeString    = 8
	typeArray     = 9
	tensorFloat32 = 0
	tensorFloat16 = 1
)

// entry is one key of the file's metadata.
type entry struct {
	key   string
	value any // uint32, float32, bool, string, or a slice of string, int32 or float32
}

// tensor is one named array; dims has the innermost first. Those of more than
// one dimension are written as float16 when that is asked for.
type tensor struct {
	name string
	dims []uint64
	data []float32
}

// encodeGGUF makes the bytes of a file: little-endian, tensors aligned to 32 bytes.
func encodeGGUF(metadata []entry, tensors []tensor, half bool) ([]byte, error) {
	w := ggufWriter{half: half}
	w.bytes = append(w.bytes, "GGUF"...)
	w.uint32(ggufVersion)
	w.uint64(uint64(len(tensors)))
	w.uint64(uint64(len(metadata)))
	for _, e := range metadata {
		w.text(e.key)
		if err := w.value(e.value); err != nil {
			return nil, fmt.Errorf("write key %s: %w", e.key, err)
		}
	}
	var offset uint64
	for _, t := range tensors {
		size, err := w.describe(t, offset)
		if err != nil {
			return nil, fmt.Errorf("write tensor %s: %w", t.name, err)
		}
		offset += (size + ggufAlignment - 1) / ggufAlignment * ggufAlignment
	}
	w.align()
	for _, t := range tensors {
		w.numbers(t)
		w.align()
	}
	return w.bytes, nil
}

type ggufWriter struct {
	bytes []byte
	half  bool
}

func (w *ggufWriter) uint32(v uint32) { w.bytes = binary.LittleEndian.AppendUint32(w.bytes, v) }
func (w *ggufWriter) uint64(v uint64) { w.bytes = binary.LittleEndian.AppendUint64(w.bytes, v) }

func (w *ggufWriter) text(s string) {
	w.uint64(uint64(len(s)))
	w.bytes = append(w.bytes, s...)
}

func (w *ggufWriter) array(kind uint32, length int) {
	w.uint32(typeArray)
	w.uint32(kind)
	w.uint64(uint64(length))
}

func (w *ggufWriter) align() {
	for len(w.bytes)%ggufAlignment != 0 {
		w.bytes = append(w.bytes, 0)
	}
}

func (w *ggufWriter) value(value any) error {
	switch v := value.(type) {
	case uint32:
		w.uint32(typeUint32)
		w.uint32(v)
	case float32:
		w.uint32(typeFloat32)
		w.uint32(math.Float32bits(v))
	case bool:
		w.uint32(typeBool)
		w.bytes = append(w.bytes, map[bool]byte{true: 1}[v])
	case string:
		w.uint32(typeString)
		w.text(v)
	case []string:
		w.array(typeString, len(v))
		for _, s := range v {
			w.text(s)
		}
	case []int32:
		w.array(typeInt32, len(v))
		for _, n := range v {
			w.uint32(uint32(n))
		}
	case []float32:
		w.array(typeFloat32, len(v))
		for _, f := range v {
			w.uint32(math.Float32bits(f))
		}
	default:
		return fmt.Errorf("no GGUF type for %T", value)
	}
	return nil
}

// describe writes what the file says about a tensor and returns its size in bytes.
func (w *ggufWriter) describe(t tensor, offset uint64) (size uint64, err error) {
	w.text(t.name)
	w.uint32(uint32(len(t.dims)))
	count := uint64(1)
	for _, d := range t.dims {
		w.uint64(d)
		count *= d
	}
	if count != uint64(len(t.data)) {
		return 0, fmt.Errorf("%d numbers do not fill dimensions %v", len(t.data), t.dims)
	}
	size = 4 * count
	if w.asHalf(t) {
		w.uint32(tensorFloat16)
		size = 2 * count
	} else {
		w.uint32(tensorFloat32)
	}
	w.uint64(offset)
	return size, nil
}

func (w *ggufWriter) numbers(t tensor) {
	for _, f := range t.data {
		if w.asHalf(t) {
			w.bytes = binary.LittleEndian.AppendUint16(w.bytes, float16(f))
		} else {
			w.uint32(math.Float32bits(f))
		}
	}
}

func (w *ggufWriter) asHalf(t tensor) bool { return w.half && len(t.dims) > 1 }

// float16 rounds to the nearest half-precision number, ties to even. What is
// below its smallest normal number (6e-5) becomes a subnormal one. Weights are
// far below its largest number, so nothing overflows.
func float16(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	exponent := int(bits>>23&0xff) - 127
	mantissa := bits&0x7fffff | 0x800000
	drop := 13
	subnormal := exponent < -14
	if subnormal {
		drop += -14 - exponent
		if drop > 24 {
			return sign
		}
	}
	half := uint32(1) << (drop - 1)
	kept := mantissa >> drop
	if rest := mantissa & (1<<drop - 1); rest > half || rest == half && kept&1 == 1 {
		kept++ // a carry runs on into the exponent, as it should
	}
	if subnormal {
		return sign | uint16(kept)
	}
	return sign | uint16(uint32(exponent+15-1)<<10+kept) // kept holds the leading 1, which adds one to the exponent
}
