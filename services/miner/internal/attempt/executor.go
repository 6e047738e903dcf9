package attempt

import (
	"context"

	"github.com/aitbc/aitbc/services/miner/internal/device"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

// Executor is an engine. Its methods are called from several goroutines at once and return when
// ctx ends. Package executortest specifies it.
type Executor interface {
	// Generate makes one answer. It returns a complete answer, or an error beside what was done
	// until then: an [*executor.Failure], or one that wraps ctx's cause.
	Generate(ctx context.Context, request executor.Request) (executor.Answer, error)
	// Digest gives the digest of one model as it is now. Errors: [*executor.Failure].
	Digest(ctx context.Context, model string) (string, error)
	// Models lists the models.
	Models(ctx context.Context) ([]executor.Model, error)
	// Version gives the engine's version.
	Version(ctx context.Context) (string, error)
}

// Devices are what the engine computes on.
type Devices interface {
	// List gives the devices that it could find, beside an error too.
	List(ctx context.Context) ([]device.Device, error)
	// Readings gives what the GPUs measure of themselves now, in List's order.
	Readings(ctx context.Context) ([]device.Reading, error)
	// Watch samples the GPUs' use until stop is called.
	Watch(ctx context.Context) (stop func() (mean float64, ok bool))
}
