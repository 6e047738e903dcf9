package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

func TestReasonsAreSentences(t *testing.T) {
	t.Parallel()
	require.Empty(t, reasons(nil))
	waiting := []*coordinatorv1.WaitingJobs{
		{Model: "llama3.2:latest", PricePerSecond: "0.02aitbc", Jobs: 3, Obstacles: []string{"no_model", "price"}},
		{Model: "tiny:latest", PricePerSecond: "0.02aitbc", Jobs: 1},
	}
	for range maxReasons {
		waiting = append(waiting, waiting[1])
	}
	require.Equal(t, []string{
		"it could work",
		"compared with others for 7 jobs, it got 2; reputation 0.50",
		"the last job that went to another, at 2025-01-29T14:50:00Z: score 0.250 against 0.750",
		"3 jobs for llama3.2:latest at 0.02aitbc a second wait; not given to it: no_model, price",
		"1 jobs for tiny:latest at 0.02aitbc a second wait; it is next in turn",
		"1 jobs for tiny:latest at 0.02aitbc a second wait; it is next in turn",
		"1 jobs for tiny:latest at 0.02aitbc a second wait; it is next in turn",
		"1 jobs for tiny:latest at 0.02aitbc a second wait; it is next in turn",
		"and 2 kinds of jobs more wait",
	}, reasons(&coordinatorv1.MinerExplanation{
		Summary: "it could work", Compared: 7, Won: 2, Reputation: 0.5, Waiting: waiting,
		LastLost: &coordinatorv1.LostDecision{At: timestamppb.New(time.Date(2025, 1, 29, 14, 50, 0, 0, time.UTC)), Score: 0.25, WinningScore: 0.75},
	}))
}
