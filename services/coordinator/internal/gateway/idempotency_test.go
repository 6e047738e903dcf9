package gateway_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
)

// Every call that changes something either takes an Idempotency-Key or is harmless to repeat, for the
// reason here. Whoever adds a call decides which.
func TestEveryCallThatChangesSomethingMayBeRepeated(t *testing.T) {
	t.Parallel()
	harmless := map[string]string{
		"JobService.QuoteJob":       "it makes nothing",
		"JobService.CancelJob":      "a cancelled job stays cancelled, and the answer is the same",
		"LeaseService.StartJob":     "a job that runs goes on running",
		"LeaseService.CompleteJob":  "the same result gets the same acceptance",
		"KeyService.RevokeKey":      "a revoked key stays revoked since the first time",
		"FaucetService.FillAccount": "what is full is not filled",
	}
	takes := map[string]bool{}
	p := serve(t, newWorld(), auth.DefaultLimitConfig())
	for _, method := range p.server.Methods() {
		name := strings.TrimPrefix(method, "/")
		service, call, _ := strings.Cut(name, "/")
		descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service + "." + call))
		if err != nil || !strings.HasPrefix(service, "aitbc.coordinator.v1.") {
			continue // the library's own, and the replicas'
		}
		m := descriptor.(protoreflect.MethodDescriptor)
		reads := strings.HasPrefix(call, "Get") || strings.HasPrefix(call, "List") || strings.HasPrefix(call, "Explain") || m.IsStreamingServer()
		if reads {
			continue
		}
		short := string(m.Parent().Name()) + "." + call
		if m.Input().Fields().ByName("request_id") != nil {
			takes[short] = true
			continue
		}
		require.NotEmpty(t, harmless[short], "%s takes no request_id: is it harmless to repeat?", short)
	}
	require.Equal(t, map[string]bool{"JobService.SubmitJob": true, "KeyService.CreateKey": true, "KeyService.RotateKey": true}, takes)
}
