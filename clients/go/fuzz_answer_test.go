package aitbc_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// Whatever answers on the coordinator's address: a job, or an error that says something.
func FuzzAnswer(f *testing.F) {
	f.Add(200, jobJSON, "")
	f.Add(200, `{"job_id":"job_01jjsbfpdr041061050r3gg28a","metrics":{"compute_time":1e300},"refund":{"amount":"1aitbc"},"error":{}}`, "")
	f.Add(429, `{"code":8,"message":"m","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1s"}]}`, "7")
	f.Add(400, `{"code":3,"details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"a"}]}]}`, "")
	f.Add(503, `{"code":-1,"message":"\u0000"}`, "-1")
	f.Add(302, "<html>", "99999999999999999999")
	f.Fuzz(func(t *testing.T, status int, body, retryAfter string) {
		s := &script{answers: []answer{{status: status, body: body, retryAfter: retryAfter}}}
		job, err := s.client(t, aitbc.WithRetry(aitbc.RetryPolicy{})).Get(t.Context(), someJob)
		if err == nil {
			require.NotNil(t, job)
			return
		}
		var failure *aitbc.Error
		require.ErrorAs(t, err, &failure)
		require.NotZero(t, failure.Code)
	})
}
