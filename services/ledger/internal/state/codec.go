package state

import (
	"encoding/binary"
	"errors"
	"fmt"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// errCorrupt is wrapped by every error about stored bytes that this package did not write.
var errCorrupt = errors.New("corrupt ledger state")

// writer makes the one encoding of an entry: big-endian integers of fixed width, fixed-size
// values as they are, text and byte strings behind their 32-bit length.
type writer struct{ buf []byte }

func (w *writer) fixed(b []byte)        { w.buf = append(w.buf, b...) }
func (w *writer) uint8(v uint8)         { w.buf = append(w.buf, v) }
func (w *writer) uint32(v uint32)       { w.buf = binary.BigEndian.AppendUint32(w.buf, v) }
func (w *writer) uint64(v uint64)       { w.buf = binary.BigEndian.AppendUint64(w.buf, v) }
func (w *writer) int64(v int64)         { w.uint64(uint64(v)) }
func (w *writer) amount(v aitbc.Amount) { w.int64(int64(v)) }
func (w *writer) bytes(b []byte)        { w.uint32(uint32(len(b))); w.fixed(b) }
func (w *writer) text(s string)         { w.uint32(uint32(len(s))); w.buf = append(w.buf, s...) }

func (w *writer) boolean(v bool) {
	if v {
		w.uint8(1)
		return
	}
	w.uint8(0)
}

// reader reads what writer wrote. After the first fault every value is zero and err says why.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if r.err == nil && len(r.rest) < n {
		r.err = fmt.Errorf("%w: entry ends too early", errCorrupt)
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// fill copies the next bytes into a fixed-size value.
func (r *reader) fill(into []byte) { copy(into, r.take(len(into))) }

func (r *reader) uint8() uint8 {
	var b [1]byte
	r.fill(b[:])
	return b[0]
}

func (r *reader) uint32() uint32 {
	var b [4]byte
	r.fill(b[:])
	return binary.BigEndian.Uint32(b[:])
}

func (r *reader) uint64() uint64 {
	var b [8]byte
	r.fill(b[:])
	return binary.BigEndian.Uint64(b[:])
}

func (r *reader) int64() int64         { return int64(r.uint64()) }
func (r *reader) amount() aitbc.Amount { return aitbc.Amount(r.int64()) }
func (r *reader) boolean() bool        { return r.uint8() == 1 }
func (r *reader) text() string         { return string(r.bytes()) }

func (r *reader) bytes() []byte {
	n := r.uint32()
	if r.err == nil && int64(n) > int64(len(r.rest)) {
		r.err = fmt.Errorf("%w: entry ends too early", errCorrupt)
	}
	if r.err != nil || n == 0 {
		return nil
	}
	return r.take(int(n))
}

func (r *reader) end() error {
	if r.err == nil && len(r.rest) != 0 {
		r.err = fmt.Errorf("%w: entry is %d bytes too long", errCorrupt, len(r.rest))
	}
	return r.err
}
