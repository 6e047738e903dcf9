package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

func TestGRPCWithoutFiles(t *testing.T) {
	t.Parallel()
	n := startWithEngine(t)
	conn, err := grpc.NewClient(n.CoordinatorGRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	health, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, health.GetStatus())
	require.Contains(t, services(ctx, t, conn), coordinatorv1.JobService_ServiceDesc.ServiceName)

	jobs := coordinatorv1.NewJobServiceClient(conn)
	keyed := metadata.AppendToOutgoingContext(ctx, "x-api-key", clientKey)
	submitted, err := jobs.SubmitJob(keyed, &coordinatorv1.SubmitJobRequest{Type: "inference", Prompt: question, Model: "tiny"})
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), submitted.GetSubmittedAt().AsTime(), time.Minute)
	awaitStatus(t, n, submitted.GetJobId(), "completed")
	got, err := jobs.GetJob(keyed, &coordinatorv1.GetJobRequest{JobId: submitted.GetJobId()})
	require.NoError(t, err)
	require.Contains(t, got.GetJob().GetResult(), answer)
}

// services lists what the server's reflection shows, as grpcurl does.
func services(ctx context.Context, t *testing.T, conn *grpc.ClientConn) []string {
	t.Helper()
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	require.NoError(t, err)
	require.NoError(t, stream.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{ListServices: "*"},
	}))
	response, err := stream.Recv()
	require.NoError(t, err)
	require.NoError(t, stream.CloseSend())
	var names []string
	for _, service := range response.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	slices.Sort(names)
	return names
}
