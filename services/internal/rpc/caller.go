package rpc

import (
	"context"
	"crypto/rand"
	"regexp"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// RequestIDKey is the metadata key of the request id, in both directions.
const RequestIDKey = "x-request-id"

// Ids of callers go into our log: short, and nothing that could forge a line.
var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func incomingRequestID(ctx context.Context) string {
	values := metadata.ValueFromIncomingContext(ctx, RequestIDKey)
	if len(values) != 1 || !requestIDPattern.MatchString(values[0]) {
		return ""
	}
	return values[0]
}

func newRequestID() string { return strings.ToLower(rand.Text()) }

// callerAddr is who called: for a REST call, which comes over the in-process connection, what the
// gateway saw. The last address is the gateway's own observation, those before it are claims.
func callerAddr(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	if _, inProcess := p.Addr.(inProcessAddr); !inProcess {
		return p.Addr.String()
	}
	forwarded := metadata.ValueFromIncomingContext(ctx, "x-forwarded-for")
	if len(forwarded) == 0 {
		return p.Addr.String()
	}
	all := forwarded[len(forwarded)-1]
	return strings.TrimSpace(all[strings.LastIndexByte(all, ',')+1:])
}

func isHealth(method string) bool { return strings.HasPrefix(method, "/grpc.health.v1.Health/") }
