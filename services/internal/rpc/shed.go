package rpc

import (
	"context"

	"google.golang.org/grpc/tap"

	"github.com/aitbc/aitbc/services/internal/apierr"
	"github.com/aitbc/aitbc/services/internal/obs"
)

// shed refuses calls before the stages, with a status; nil: the call may go on.
type shed func(ctx context.Context, method string) error

// shedding makes a shed of what Options say.
func shedding(refuse func(method string) error, m *obs.RPC) shed {
	return func(ctx context.Context, method string) error {
		if refuse == nil {
			return nil
		}
		err := refuse(method)
		if err == nil {
			return nil
		}
		err = apierr.Status(ctx, err, "").Err()
		if m != nil {
			code, reason := outcome(err)
			m.Started(method)
			m.Finished(method, code, reason, 0)
		}
		return err
	}
}

// tap implements tap.ServerInHandle: the library calls it when a call's headers have come, on the
// connection's one reading goroutine.
func (s shed) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	return ctx, s(ctx, info.FullMethodName)
}
