package gateway

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

func TestABodyMayBeAsLongAsItsContractCanNeed(t *testing.T) {
	t.Parallel()
	limit := func(m proto.Message) int64 { return bodyLimit(m.ProtoReflect().Descriptor()) }
	require.EqualValues(t, DefaultMaxBodyBytes, limit(&coordinatorv1.CancelJobRequest{}))
	require.Greater(t, limit(&coordinatorv1.CompleteJobRequest{}), int64(6<<20), "a result of 1 MiB, each byte escaped")
	require.Less(t, limit(&coordinatorv1.CompleteJobRequest{}), int64(7<<20))
	require.Greater(t, limit(&coordinatorv1.SubmitJobRequest{}), int64(6*262_144))
	require.Less(t, limit(&coordinatorv1.SubmitJobRequest{}), int64(2<<20))
}
