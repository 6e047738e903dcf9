package session

import (
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/internal/crash"
)

// The faults below exist only in programs built for tools/chaos, which plants one at a time to see
// that its checker finds it.

// plantedSilence is a result that is never sent.
func plantedSilence(lease string) bool {
	return crash.Enabled && crash.Planted("kept-result") && len(lease) > 3 && lease[len(lease)-3]%2 == 0
}

// plantInResults has a result sent again, as the worker reads it then.
func (t *talk) plantInResults(lease string) error {
	if !crash.Enabled || !crash.Planted("two-answers") {
		return nil
	}
	result, err := t.worker.Result(lease)
	if err != nil {
		return err
	}
	return t.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptResult{AttemptResult: result}})
}
