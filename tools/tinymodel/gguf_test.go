package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFloat16(t *testing.T) {
	t.Parallel()
	for in, want := range map[float32]uint16{
		0: 0, 1: 0x3c00, -2: 0xc000, 0.5: 0x3800, 0.333251953125: 0x3555,
		65504:                               0x7bff, // the largest
		6.103515625e-05:                     0x0400, // the smallest normal one
		5.960464477539063e-08:               0x0001, // the smallest subnormal one
		1e-9:                                0,
		-1e-9:                               0x8000,
		1 + 1.0/2048:                        0x3c00, // a tie goes to even, down
		1 + 3.0/2048:                        0x3c02, // and up
		2 - 1.0/4096:                        0x4000, // a carry into the exponent
		float32(math.Ldexp(1023.5, -24)):    0x0400, // and from subnormal to normal
		float32(math.Ldexp(1.5, -24)):       0x0002,
		float32(math.Ldexp(0.5, -24)):       0, // a tie
		float32(math.Ldexp(0.5000001, -24)): 0x0001,
	} {
		require.Equal(t, want, float16(in), "float16(%v)", in)
	}
}

func TestGGUFBytes(t *testing.T) {
	t.Parallel()
	file, err := encodeGGUF(
		[]entry{{"a", uint32(7)}, {"b", true}},
		[]tensor{{"m", []uint64{2, 1}, []float32{1, -2}}, {"v", []uint64{1}, []float32{0.5}}}, true)
	require.NoError(t, err)
	require.Equal(t, ""+
		"GGUF\x03\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00"+
		"\x01\x00\x00\x00\x00\x00\x00\x00a\x04\x00\x00\x00\x07\x00\x00\x00"+
		"\x01\x00\x00\x00\x00\x00\x00\x00b\x07\x00\x00\x00\x01"+
		"\x01\x00\x00\x00\x00\x00\x00\x00m\x02\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"+
		"\x01\x00\x00\x00\x00\x00\x00\x00v\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x20\x00\x00\x00\x00\x00\x00\x00",
		string(file[:129]))
	require.Equal(t, make([]byte, 160-129), file[129:160], "padding to 32 bytes")
	require.Equal(t, "\x00\x3c\x00\xc0", string(file[160:164]))
	require.Equal(t, "\x00\x00\x00\x3f", string(file[192:196]), "a vector stays float32, at its offset of 32")
	require.Len(t, file, 224)
}

func TestWhatGGUFCannotHoldIsRefused(t *testing.T) {
	t.Parallel()
	_, err := encodeGGUF([]entry{{"key", 1.5}}, nil, true)
	require.ErrorContains(t, err, "write key key: no GGUF type for float64")
	_, err = encodeGGUF(nil, []tensor{{"m", []uint64{2, 2}, []float32{1}}}, true)
	require.ErrorContains(t, err, "write tensor m: 1 numbers do not fill dimensions [2 2]")
}
