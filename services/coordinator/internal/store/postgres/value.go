package postgres

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// What is nothing in Go is NULL in a row: a zero time, hash or account, an empty byte string.

// each gives one column of many rows, as an array parameter.
func each[R, C any](rows []R, column func(R) C) pgtype.FlatArray[C] {
	values := make(pgtype.FlatArray[C], len(rows))
	for i, row := range rows {
		values[i] = column(row)
	}
	return values
}

func uuid(id aitbc.JobID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

func uuids(ids []aitbc.JobID) pgtype.FlatArray[pgtype.UUID] { return each(ids, uuid) }

// instant gives a time's column value: Unix microseconds.
func instant(t time.Time) pgtype.Int8 {
	if t.IsZero() {
		return pgtype.Int8{}
	}
	return pgtype.Int8{Int64: t.UnixMicro(), Valid: true}
}

// optional gives a byte string's column value, NULL when all its bytes are zero.
func optional(b []byte) []byte {
	for _, c := range b {
		if c != 0 {
			return b
		}
	}
	return nil
}

func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// toInstant scans a column made by instant.
func toInstant(to *time.Time) *instantColumn { return (*instantColumn)(to) }

type instantColumn time.Time

// ScanInt64 implements pgtype.Int64Scanner.
func (c *instantColumn) ScanInt64(v pgtype.Int8) error {
	*c = instantColumn{}
	if v.Valid {
		*c = instantColumn(time.UnixMicro(v.Int64).UTC())
	}
	return nil
}

// toSpan scans a column of microseconds.
func toSpan(to *time.Duration) *spanColumn { return (*spanColumn)(to) }

type spanColumn time.Duration

// ScanInt64 implements pgtype.Int64Scanner.
func (c *spanColumn) ScanInt64(v pgtype.Int8) error {
	*c = spanColumn(time.Duration(v.Int64) * time.Microsecond)
	return nil
}

// toFixed scans a column of exactly len(to) bytes, or NULL, which gives zeros.
func toFixed(to []byte) fixedColumn { return fixedColumn(to) }

type fixedColumn []byte

// ScanBytes implements pgtype.BytesScanner.
func (c fixedColumn) ScanBytes(v []byte) error {
	if v == nil {
		clear(c)
		return nil
	}
	if len(v) != len(c) {
		return fmt.Errorf("%d bytes are stored, want %d", len(v), len(c))
	}
	copy(c, v)
	return nil
}

// toOctets scans a byte string; an empty one gives nil, as NULL does.
func toOctets(to *[]byte) *octetsColumn { return (*octetsColumn)(to) }

type octetsColumn []byte

// ScanBytes implements pgtype.BytesScanner.
func (c *octetsColumn) ScanBytes(v []byte) error {
	*c = append(octetsColumn(nil), v...) // v is the driver's
	return nil
}

// toText scans a byte string as text, whatever its bytes.
func toText(to *string) *textColumn { return (*textColumn)(to) }

type textColumn string

// ScanBytes implements pgtype.BytesScanner.
func (c *textColumn) ScanBytes(v []byte) error {
	*c = textColumn(v)
	return nil
}
