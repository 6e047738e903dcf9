package attempt

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
	"github.com/aitbc/aitbc/services/miner/internal/spool"
)

// Operator is whose coordinator speaks, as its session proved.
type Operator struct {
	// ChainID is the ledger's chain id.
	ChainID string
	// ID is the operator's account.
	ID aitbc.AccountID
	// Key is its public key.
	Key ed25519.PublicKey
}

// job is a lease that was checked.
type job struct {
	wire     *coordinatorv1.Lease
	lease    aitbc.Lease
	order    aitbc.Order
	operator Operator
	salt     aitbc.Salt
	limit    time.Duration
}

func (j job) id() string { return j.wire.GetLeaseId() }

var errBadLease = errors.New("the lease does not check")

func badLease(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errBadLease}, args...)...)
}

// readLease checks that a lease is the operator's word to this miner and that its parts belong
// together.
func readLease(op Operator, self aitbc.AccountID, wire *coordinatorv1.Lease) (job, error) {
	lease, err := aitbc.ParseLease(wire.GetBody())
	if err != nil {
		return job{}, badLease("%w", err)
	}
	order, err := aitbc.ParseOrder(wire.GetOrderBody())
	if err != nil {
		return job{}, badLease("%w", err)
	}
	j := job{wire: wire, lease: lease, order: order, operator: op, limit: wire.GetExecutionLimit().AsDuration()}
	switch {
	case !aitbc.Verify(op.Key, wire.GetBody(), wire.GetSignature()):
		return job{}, badLease("its signature is not the operator's")
	case lease.ChainID != op.ChainID || order.ChainID != op.ChainID:
		return job{}, badLease("it is of another chain than %s", op.ChainID)
	case lease.Operator != op.ID || order.Operator != op.ID:
		return job{}, badLease("it is of another operator than %s", op.ID)
	case lease.Miner != self:
		return job{}, badLease("it is for %s", lease.Miner)
	case order.Hash() != lease.OrderHash || order.JobID != lease.JobID:
		return job{}, badLease("its order is another one")
	case lease.ID() != wire.GetLeaseId() || lease.JobID.String() != wire.GetJobId() || int64(lease.Attempt) != int64(wire.GetAttempt()):
		return job{}, badLease("its id, job or attempt is not the signed one")
	case lease.Model != wire.GetModel() || hex.EncodeToString(lease.ModelDigest[:]) != wire.GetModelDigest():
		return job{}, badLease("its model is not the signed one")
	case !slices.Contains([]string{aitbc.TypeInference, aitbc.TypeChat, aitbc.TypeEmbedding}, wire.GetType()):
		return job{}, badLease("type %q is unknown", wire.GetType())
	case j.limit <= 0:
		return job{}, badLease("it has no execution limit")
	case len(wire.GetSalt()) != len(j.salt):
		return job{}, badLease("its salt has %d bytes", len(wire.GetSalt()))
	}
	j.salt = aitbc.Salt(wire.GetSalt())
	return j, j.checkPayload()
}

// checkPayload checks that this is what the client ordered: the statement will say so. The order
// commits to the model's name as the client wrote it, with or without ":latest", and to the digest
// only when the client pinned it.
func (j job) checkPayload() error {
	payload := aitbc.Payload{Type: j.wire.GetType(), Prompt: j.wire.GetPrompt(), Options: options(j.wire.GetOptions())}
	for _, payload.Model = range []string{j.lease.Model, strings.TrimSuffix(j.lease.Model, ":latest")} {
		for _, payload.ModelDigest = range []aitbc.Hash{{}, j.lease.ModelDigest} {
			hash, err := payload.Hash()
			if err != nil {
				return badLease("%w", err)
			}
			if aitbc.Commitment(j.salt, hash) == j.order.PayloadCommitment {
				return nil
			}
		}
	}
	return badLease("prompt, model or options are not what the client ordered")
}

// options gives the sampling options that are set.
func options(o *coordinatorv1.JobOptions) aitbc.Options {
	if o == nil {
		return aitbc.Options{}
	}
	return aitbc.Options{
		Temperature: o.Temperature, NumPredict: o.NumPredict, TopP: o.TopP, TopK: o.TopK,
		MinP: o.MinP, RepeatPenalty: o.RepeatPenalty, Seed: o.Seed, Stop: o.GetStop(),
		Format: o.GetFormat(),
	}
}

// admit checks a lease against what the owner wants. Errors: [*executor.Failure].
func (r *Runner) admit(op Operator, wire *coordinatorv1.Lease, now time.Time) (job, error) {
	j, err := readLease(op, r.self, wire)
	if err != nil {
		return job{}, &executor.Failure{Reason: executor.Rejected, Message: err.Error()}
	}
	model := executor.FullName(j.lease.Model)
	switch {
	case spool.Forgotten(time.UnixMicro(j.order.SettleByUS), now):
		return job{}, &executor.Failure{Reason: executor.Rejected, Message: "the job's settlement deadline is long past"}
	case !r.allowed(model):
		return job{}, &executor.Failure{Reason: executor.ModelNotFound, Message: "this miner's owner does not offer " + model}
	case j.order.Price < r.config.PriceFloor:
		// Not the request's fault: another miner may take it.
		return job{}, &executor.Failure{Reason: executor.Overloaded, Message: fmt.Sprintf(
			"the price %s is below this miner's floor %s", j.order.Price, r.config.PriceFloor)}
	}
	return j, nil
}
