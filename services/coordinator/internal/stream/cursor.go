package stream

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// Cursor is how far a watcher is. Its text is the id of an event.
type Cursor struct {
	// Attempt is whose text was shown, Offset how many bytes of it.
	Attempt uint32
	Offset  int64
	// Sum is the checksum of these bytes. It finds texts that differ by accident; who makes two
	// texts with one sum fools only those that watch its own lie.
	Sum uint32
	// Done says that the job's end was shown.
	Done bool
}

const doneMark = ".done"

// String gives the cursor as an event's id.
func (c Cursor) String() string {
	text := fmt.Sprintf("%d.%d.%08x", c.Attempt, c.Offset, c.Sum)
	if c.Done {
		text += doneMark
	}
	return text
}

// ParseCursor reads an event's id; empty is the start. Errors: INVALID_FIELD.
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	rest, done := strings.CutSuffix(text, doneMark)
	parts := strings.Split(rest, ".")
	if len(parts) != 3 {
		return Cursor{}, malformed()
	}
	attempt, err1 := strconv.ParseUint(parts[0], 10, 32)
	offset, err2 := strconv.ParseInt(parts[1], 10, 64)
	sum, err3 := strconv.ParseUint(parts[2], 16, 32)
	c := Cursor{Attempt: uint32(attempt), Offset: offset, Sum: uint32(sum), Done: done}
	if err1 != nil || err2 != nil || err3 != nil || c.String() != text || offset < 0 {
		return Cursor{}, malformed()
	}
	return c, nil
}

func malformed() error {
	return &job.Error{
		Why: coordinatorv1.ErrorReason_ERROR_REASON_INVALID_FIELD, Field: "after_event_id",
		Message: "must be the id of an event of this job, or empty",
	}
}

// shown gives the cursor after more text.
func (c Cursor) shown(text []byte) Cursor {
	c.Offset += int64(len(text))
	c.Sum = sum(c.Sum, text)
	return c
}

func sum(before uint32, text []byte) uint32 {
	return crc32.Update(before, crc32.MakeTable(crc32.Castagnoli), text)
}
