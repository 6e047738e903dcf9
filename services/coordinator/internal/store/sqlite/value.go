package sqlite

import (
	"database/sql"
	"fmt"
	"time"
)

// What is nothing in Go is NULL in a row: a zero time, hash or account, an empty byte string.

// instant gives a time's column value: Unix microseconds.
func instant(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// positive gives the column value of a number of which zero means that there is none.
func positive(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// optional gives a byte string's column value.
func optional(b []byte) any {
	for _, c := range b {
		if c != 0 {
			return b
		}
	}
	return nil
}

// octets gives a byte string's column value, whose bytes may all be zero.
func octets(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// toInstant scans a column made by instant.
func toInstant(to *time.Time) sql.Scanner { return (*instantColumn)(to) }

type instantColumn time.Time

// Scan implements sql.Scanner.
func (c *instantColumn) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*c = instantColumn{}
	case int64:
		*c = instantColumn(time.UnixMicro(v).UTC())
	default:
		return fmt.Errorf("an instant is stored as %T", value)
	}
	return nil
}

// toSpan scans a column of microseconds.
func toSpan(to *time.Duration) sql.Scanner { return (*spanColumn)(to) }

type spanColumn time.Duration

// Scan implements sql.Scanner.
func (c *spanColumn) Scan(value any) error {
	v, ok := value.(int64)
	if !ok {
		return fmt.Errorf("a duration is stored as %T", value)
	}
	*c = spanColumn(time.Duration(v) * time.Microsecond)
	return nil
}

// toFixed scans a column of exactly len(to) bytes, or NULL, which gives zeros.
func toFixed(to []byte) sql.Scanner { return fixedColumn(to) }

type fixedColumn []byte

// Scan implements sql.Scanner.
func (c fixedColumn) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		clear(c)
		return nil
	case []byte:
		if len(v) == len(c) {
			copy(c, v)
			return nil
		}
		return fmt.Errorf("%d bytes are stored, want %d", len(v), len(c))
	default:
		return fmt.Errorf("bytes are stored as %T", value)
	}
}
