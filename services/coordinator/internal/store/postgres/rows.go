package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// rows are many rows of one composite type, as one parameter in the server's binary format. One
// such array costs the server a fifth of an array per column when there are twenty columns, each of
// which it would unnest into a store of its own (measured 2026-11, Postgres 15).
//
// Call begin, then one method per column in the type's order, then end.
type rows struct {
	count int
	data  []byte
	at    int // where the length of the row under way belongs
}

func (r *rows) begin(columns int) {
	r.count++
	r.at = len(r.data)
	r.data = append(r.data, 0, 0, 0, 0)
	r.data = binary.BigEndian.AppendUint32(r.data, uint32(columns))
}

func (r *rows) end() {
	binary.BigEndian.PutUint32(r.data[r.at:], uint32(len(r.data)-r.at-4))
}

// column appends a column's type and length; its bytes follow.
func (r *rows) column(oid uint32, length int) {
	r.data = binary.BigEndian.AppendUint32(r.data, oid)
	r.data = binary.BigEndian.AppendUint32(r.data, uint32(length))
}

func (r *rows) uuid(id aitbc.JobID) {
	r.column(pgtype.UUIDOID, len(id))
	r.data = append(r.data, id[:]...)
}

func (r *rows) bytes(b []byte) {
	r.column(pgtype.ByteaOID, len(b))
	r.data = append(r.data, b...)
}

func (r *rows) text(s string) {
	r.column(pgtype.TextOID, len(s))
	r.data = append(r.data, s...)
}

func (r *rows) int(n int64) {
	r.column(pgtype.Int8OID, 8)
	r.data = binary.BigEndian.AppendUint64(r.data, uint64(n))
}

func (r *rows) float(f float64) {
	r.column(pgtype.Float8OID, 8)
	r.data = binary.BigEndian.AppendUint64(r.data, math.Float64bits(f))
}

func (r *rows) bool(b bool) {
	r.column(pgtype.BoolOID, 1)
	if b {
		r.data = append(r.data, 1)
	} else {
		r.data = append(r.data, 0)
	}
}

// null appends a NULL of the given type.
func (r *rows) null(oid uint32) { r.column(oid, -1) }

// bytesOrNull appends a byte string, NULL when it is empty.
func (r *rows) bytesOrNull(b []byte) {
	if len(b) == 0 {
		r.null(pgtype.ByteaOID)
		return
	}
	r.bytes(b)
}

// instant appends a time, NULL when it is zero.
func (r *rows) instant(t time.Time) {
	if t.IsZero() {
		r.null(pgtype.Int8OID)
		return
	}
	r.int(t.UnixMicro())
}

// registerRows teaches a new connection the composite types; before the tables are made there are
// none.
func registerRows(ctx context.Context, conn *pgx.Conn) error {
	const query = `SELECT name, to_regtype(name)::oid, to_regtype(name || '[]')::oid FROM unnest($1::text[]) AS name
		WHERE to_regtype(name) IS NOT NULL`
	found, err := conn.Query(ctx, query, []string{"order_row_3", "live_row_3", "done_row_2", "completion_row_2"})
	if err != nil {
		return fmt.Errorf("look up types: %w", err)
	}
	var name string
	var element, array uint32
	_, err = pgx.ForEachRow(found, []any{&name, &element, &array}, func() error {
		conn.TypeMap().RegisterType(&pgtype.Type{Name: name + "[]", OID: array, Codec: rowsCodec{element: element}})
		return nil
	})
	if err != nil {
		return fmt.Errorf("look up types: %w", err)
	}
	return nil
}

// rowsCodec sends rows. It never receives any, so the rest of it is another codec's.
type rowsCodec struct {
	pgtype.ByteaCodec
	element uint32
}

// PlanEncode implements pgtype.Codec.
func (c rowsCodec) PlanEncode(_ *pgtype.Map, _ uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(*rows); !ok || format != pgtype.BinaryFormatCode {
		return nil
	}
	return c
}

// Encode implements pgtype.EncodePlan: the header of an array of one dimension without NULLs, and
// the rows.
func (c rowsCodec) Encode(value any, buf []byte) ([]byte, error) {
	r, ok := value.(*rows)
	if !ok {
		return nil, fmt.Errorf("cannot send %T as rows", value)
	}
	for _, word := range []uint32{1, 0, c.element, uint32(r.count), 1} {
		buf = binary.BigEndian.AppendUint32(buf, word)
	}
	return append(buf, r.data...), nil
}
