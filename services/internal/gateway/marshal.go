package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// marshaler writes JSON with the contract's names and all fields, and takes request messages that
// strict has decoded.
type marshaler struct {
	runtime.JSONPb
}

var _ runtime.Marshaler = (*marshaler)(nil)

func newMarshaler() *marshaler {
	return &marshaler{runtime.JSONPb{
		MarshalOptions: protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true},
	}}
}

// Marshal implements runtime.Marshaler. The result is compacted, because protojson puts in spaces
// that differ between builds.
func (m *marshaler) Marshal(v any) ([]byte, error) {
	content, err := m.JSONPb.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Grow(len(content) + 1)
	if err := json.Compact(&out, content); err != nil {
		return nil, fmt.Errorf("compacting an answer: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// NewDecoder implements runtime.Marshaler.
func (m *marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		decoded, ok := r.(*decodedBody)
		target, isMessage := v.(proto.Message)
		if !ok || !isMessage {
			return fmt.Errorf("a %T reached a generated handler undecoded", r)
		}
		proto.Merge(target, decoded.message)
		return nil
	})
}

// decodedBody stands in for a request body that has been read and decoded.
type decodedBody struct {
	message proto.Message
}

// Read implements io.Reader: nothing is left.
func (*decodedBody) Read([]byte) (int, error) { return 0, io.EOF }

// Close implements io.Closer.
func (*decodedBody) Close() error { return nil }
