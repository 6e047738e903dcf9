package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// maxMessage bounds each message of a record on disk: a result is at most 1 MiB, a prompt 256 KiB.
const maxMessage = 4 << 20

// Record is one signed result.
type Record struct {
	// Lease is what was handed over.
	Lease *coordinatorv1.Lease
	// Result is what goes to the coordinator.
	Result *coordinatorv1.AttemptResult
	// Acceptance is the operator's; nil until there is one.
	Acceptance *coordinatorv1.Acceptance
}

// encode gives a record's file: its messages, each behind its length.
func (r Record) encode() ([]byte, error) {
	messages := []proto.Message{r.Lease, r.Result}
	if r.Acceptance != nil {
		messages = append(messages, r.Acceptance)
	}
	var file bytes.Buffer
	for _, m := range messages {
		if _, err := protodelim.MarshalTo(&file, m); err != nil {
			return nil, fmt.Errorf("encode record: %w", err)
		}
	}
	return file.Bytes(), nil
}

func decode(file []byte) (Record, error) {
	r := Record{Lease: &coordinatorv1.Lease{}, Result: &coordinatorv1.AttemptResult{}}
	reader, options := bytes.NewReader(file), protodelim.UnmarshalOptions{MaxSize: maxMessage}
	for _, m := range []proto.Message{r.Lease, r.Result} {
		if err := options.UnmarshalFrom(reader, m); err != nil {
			return Record{}, fmt.Errorf("decode record: %w", err)
		}
	}
	acceptance := &coordinatorv1.Acceptance{}
	switch err := options.UnmarshalFrom(reader, acceptance); {
	case errors.Is(err, io.EOF):
		return r, nil
	case err != nil:
		return Record{}, fmt.Errorf("decode record: %w", err)
	}
	r.Acceptance = acceptance
	if reader.Len() != 0 {
		return Record{}, fmt.Errorf("decode record: %d bytes too many", reader.Len())
	}
	return r, nil
}

// stripped leaves out what only running and answering needed.
func (r Record) stripped() Record {
	lease, result := proto.CloneOf(r.Lease), proto.CloneOf(r.Result)
	lease.Prompt, lease.Options, result.Result = "", nil, ""
	return Record{Lease: lease, Result: result, Acceptance: r.Acceptance}
}

// settleBy gives when the job's escrow returns by itself.
func (r Record) settleBy() (time.Time, error) {
	order, err := aitbc.ParseOrder(r.Lease.GetOrderBody())
	if err != nil {
		return time.Time{}, fmt.Errorf("read the record's order: %w", err)
	}
	return time.UnixMicro(order.SettleByUS), nil
}
