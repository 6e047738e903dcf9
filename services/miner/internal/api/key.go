package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	minerv1 "github.com/aitbc/aitbc/gen/go/aitbc/miner/v1"
	"github.com/aitbc/aitbc/services/internal/apierr"
)

const keyHeader = "x-api-key"

// HashKey gives what is configured for an owner's key: its SHA-256 in hex. A key has to be random
// and long, so a plain hash will do.
func HashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// ParseKeyHash reads a hash.
func ParseKeyHash(text string) ([sha256.Size]byte, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != sha256.Size {
		return [sha256.Size]byte{}, errors.New("an owner's key hash is not 64 hex digits")
	}
	return [sha256.Size]byte(raw), nil
}

// owner lets everybody look and only the owner act.
type owner struct {
	hashes [][sha256.Size]byte
}

func newOwner(hashes []string) (owner, error) {
	var o owner
	for _, text := range hashes {
		hash, err := ParseKeyHash(text)
		if err != nil {
			return owner{}, fmt.Errorf("read owner's keys: %w", err)
		}
		o.hashes = append(o.hashes, hash)
	}
	return o, nil
}

// Authorize implements rpc.Authorizer: what is not named here is refused.
func (o owner) Authorize(ctx context.Context, method string) (context.Context, error) {
	switch {
	case method == minerv1.MinerService_GetStatus_FullMethodName,
		method == minerv1.MinerService_GetEarnings_FullMethodName,
		strings.HasPrefix(method, "/grpc.health.v1.Health/"),
		strings.HasPrefix(method, "/grpc.reflection."):
		return ctx, nil
	case (method == minerv1.MinerService_AssignJob_FullMethodName || method == minerv1.MinerService_DrainMiner_FullMethodName) && o.holds(metadata.ValueFromIncomingContext(ctx, keyHeader)):
		return ctx, nil
	default:
		return nil, apierr.New(coordinatorv1.ErrorReason_ERROR_REASON_INVALID_KEY, "X-Api-Key must hold one of the owner's keys (--owner-key-hashes)")
	}
}

// holds compares hashes in constant time, and with all of them.
func (o owner) holds(keys []string) bool {
	if len(keys) != 1 {
		return false
	}
	sum, found := sha256.Sum256([]byte(keys[0])), 0
	for _, hash := range o.hashes {
		found |= subtle.ConstantTimeCompare(sum[:], hash[:])
	}
	return found == 1
}
