package aitbc

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Hash is a SHA-256. Its text is lower-case hex.
type Hash [32]byte

// ParseHash reads 64 lower-case hex digits. Errors: [ErrMalformed].
func ParseHash(s string) (Hash, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(Hash{}) || s != strings.ToLower(s) {
		return Hash{}, fmt.Errorf("hash %q: %w: want 64 lower-case hex digits", s, ErrMalformed)
	}
	return Hash(b), nil
}

// String gives the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Format prints hex for every verb: without it %x would print the hex of the hex.
func (h Hash) Format(s fmt.State, verb rune) {
	var value any = h.String()
	if verb == 'x' || verb == 'X' {
		value = h[:]
	}
	fmt.Fprintf(s, fmt.FormatString(s, verb), value)
}

// IsZero reports whether h is no hash at all.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText gives the hash in hex; no hash is empty text.
func (h Hash) MarshalText() ([]byte, error) {
	if h.IsZero() {
		return nil, nil
	}
	return []byte(h.String()), nil
}

// UnmarshalText reads a hash or empty text. Errors: [ErrMalformed].
func (h *Hash) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*h = Hash{}
		return nil
	}
	*h, err = ParseHash(string(text))
	return err
}

// Domain tags begin the signing bytes of each kind of thing, so that a signature of one can never
// pass for a signature of another.
const (
	tagPayload    = "aitbc/payload/v1"
	tagCommitment = "aitbc/commitment/v1"
	tagOrder      = "aitbc/order/v1"
	tagLease      = "aitbc/lease/v1"
	tagStatement  = "aitbc/statement/v1"
	tagRunning    = "aitbc/running/v1"
	tagAcceptance = "aitbc/acceptance/v1"
	tagSession    = "aitbc/session/v1"
	tagTx         = "aitbc/tx/v1"
	tagRotation   = "aitbc/rotation/v1"
	tagReceipt    = "aitbc/receipt/v1"
	tagState      = "aitbc/state/v1"
)

// maxField bounds every variable field of signing bytes that come from outside.
const maxField = 4096

// writer makes signing bytes: big-endian integers of fixed width, fixed-size values as they are,
// text and byte strings behind their 32-bit length.
type writer struct{ buf []byte }

func newWriter(tag string) *writer {
	w := &writer{buf: make([]byte, 0, 384)}
	w.text(tag)
	return w
}

func (w *writer) fixed(b []byte)  { w.buf = append(w.buf, b...) }
func (w *writer) uint8(v uint8)   { w.buf = append(w.buf, v) }
func (w *writer) uint32(v uint32) { w.buf = binary.BigEndian.AppendUint32(w.buf, v) }
func (w *writer) int64(v int64)   { w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(v)) }
func (w *writer) uint64(v uint64) { w.buf = binary.BigEndian.AppendUint64(w.buf, v) }
func (w *writer) hash() Hash      { return sha256.Sum256(w.buf) }
func (w *writer) signing() []byte { return w.buf }

func (w *writer) bytes(b []byte) {
	w.uint32(uint32(len(b)))
	w.fixed(b)
}

func (w *writer) text(s string) {
	w.uint32(uint32(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *writer) boolean(v bool) {
	if v {
		w.uint8(1)
		return
	}
	w.uint8(0)
}

// reader reads signing bytes strictly: what it accepts, the writer would have written.
type reader struct {
	rest []byte
	err  error
}

func newReader(b []byte, tag string) *reader {
	r := &reader{rest: b}
	if got := r.text(); r.err == nil && got != tag {
		r.err = fmt.Errorf("%w: domain tag %q, want %q", ErrMalformed, got, tag)
	}
	return r
}

func (r *reader) take(n int) []byte {
	if r.err == nil && len(r.rest) < n {
		r.err = fmt.Errorf("%w: ends too early", ErrMalformed)
	}
	if r.err != nil {
		return make([]byte, min(n, maxField))
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint8() uint8   { return r.take(1)[0] }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) int64() int64   { return int64(binary.BigEndian.Uint64(r.take(8))) }

func (r *reader) text() string {
	n := r.uint32()
	if r.err == nil && n > maxField {
		r.err = fmt.Errorf("%w: text of %d bytes, at most %d", ErrMalformed, n, maxField)
	}
	if r.err != nil {
		return ""
	}
	s := string(r.take(int(n)))
	if r.err == nil && !utf8.ValidString(s) {
		r.err = fmt.Errorf("%w: text is not UTF-8", ErrMalformed)
	}
	return s
}

func (r *reader) boolean() bool {
	v := r.uint8()
	if r.err == nil && v > 1 {
		r.err = fmt.Errorf("%w: boolean is %d", ErrMalformed, v)
	}
	return v == 1
}

func (r *reader) end(what string) error {
	if r.err == nil && len(r.rest) != 0 {
		r.err = fmt.Errorf("%w: %d bytes too many", ErrMalformed, len(r.rest))
	}
	if r.err != nil {
		return fmt.Errorf("read %s: %w", what, r.err)
	}
	return nil
}
