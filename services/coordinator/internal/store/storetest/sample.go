package storetest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// epoch is when the samples play.
func epoch() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 123_456_000, time.UTC) }

// idOf makes the n-th job id; ids rise with n.
func idOf(n int) aitbc.JobID {
	id := aitbc.JobID{0: 1}
	id[6], id[7], id[15] = byte(n>>8), byte(n), 1
	return id
}

// accountOf makes the n-th account.
func accountOf(n int) aitbc.AccountID { return aitbc.AccountID{0: 0xac, 18: byte(n >> 8), 19: byte(n)} }

// newJob gives a job just submitted, with nothing that is optional.
func newJob(n int, client aitbc.AccountID) job.Job {
	return job.Job{
		ID: idOf(n),
		Order: aitbc.Order{
			ChainID: "test", Client: client, Operator: accountOf(9999), JobID: idOf(n), Price: 20_000,
			MaxPrice: 1_000_000, ExecutionLimitUS: 300_000_000,
		},
		Type: aitbc.TypeInference, Model: "tiny:latest",
		QueueTimeout: time.Minute, TotalTimeout: 6 * time.Minute, MaxAttempts: 3,
		Phase: job.Escrowing, SubmittedAt: epoch(),
	}
}

// fill sets v and everything in it to values that differ from each other and from nothing.
func fill(t testing.TB, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch to := v.Addr().Interface().(type) {
	case *time.Time:
		*to = epoch().Add(time.Duration(*n) * time.Second)
		return
	case *time.Duration:
		*to = time.Duration(*n) * time.Microsecond
		return
	case *[]byte:
		*to = fmt.Appendf(nil, "bytes %d\x00\xff", *n)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(*n+i) % 256)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d, \x00 and äöü", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int8:
		v.SetInt(int64(*n % 100))
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint32:
		v.SetUint(uint64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) / 1000)
	default:
		require.Failf(t, "a kind of field that the samples cannot fill", "%s", v.Type())
	}
}

// filledJob gives the n-th job with everything set, which no real job has.
func filledJob(t testing.TB, n int) job.Job {
	t.Helper()
	var j job.Job
	counter := n * 1000
	fill(t, reflect.ValueOf(&j).Elem(), &counter)
	j.ID, j.Order.JobID = idOf(n), idOf(n)
	j.Completion.OperatorUS = j.Completion.MeteredUS + 1
	j.Settlement.HasReceipt = true
	j.Order.MaxPrice = j.Settlement.Paid + j.Settlement.Refunded
	return j
}

// samples are jobs in states that exist, which together have every field set.
func samples(t testing.TB) map[string]job.Job {
	t.Helper()
	completed := filledJob(t, 1)
	completed.Phase, completed.Outcome = job.Done, job.StatusCompleted
	completed.Failure, completed.StopBy = job.Failure{}, time.Time{}

	stopping := filledJob(t, 2)
	stopping.Phase, stopping.Outcome = job.Running, job.StatusCancelled
	stopping.Completion, stopping.Settlement, stopping.CompletedAt = nil, nil, time.Time{}

	refunded := filledJob(t, 3)
	refunded.Phase, refunded.Outcome = job.Done, job.StatusFailed
	refunded.Completion, refunded.StopBy = nil, time.Time{}
	refunded.Settlement.HasReceipt, refunded.Settlement.Paid = false, 0
	refunded.Settlement.Refunded = refunded.Order.MaxPrice

	unplaced := refunded // in a block that the ledger's history no longer has
	unplaced.ID, unplaced.Order.JobID = idOf(6), idOf(6)
	settlement := *refunded.Settlement
	settlement.Height, settlement.BlockTime, settlement.TxHash = 0, time.Time{}, aitbc.Hash{}
	unplaced.Settlement = &settlement

	settling := filledJob(t, 4)
	settling.Phase, settling.Outcome = job.Settling, job.StatusCompleted
	settling.Failure, settling.StopBy, settling.CompletedAt = job.Failure{}, time.Time{}, time.Time{}
	settling.Completion.GPUUtilization, settling.Completion.MinerKey = nil, nil
	settling.Settlement = nil

	return map[string]job.Job{
		"just submitted": newJob(5, accountOf(1)), "completed": completed, "being stopped": stopping,
		"refunded": refunded, "refunded in a forgotten block": unplaced, "settling": settling,
	}
}

// setFields adds the path of every leaf of v that is not zero to set.
func setFields(v reflect.Value, path string, set map[string]bool) {
	_, isTime := v.Interface().(time.Time)
	switch {
	case v.Kind() == reflect.Struct && !isTime:
		for i := range v.NumField() {
			setFields(v.Field(i), path+"."+v.Type().Field(i).Name, set)
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		setFields(v.Elem(), path, set)
	case !v.IsZero():
		set[path] = true
	}
}
