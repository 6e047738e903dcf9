package api

import (
	"fmt"
	"strings"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// maxReasons bounds the kinds of waiting jobs that an owner is told of.
const maxReasons = 5

// reasons puts the coordinator's word on why the miner gets the jobs it gets into sentences.
func reasons(x *coordinatorv1.MinerExplanation) []string {
	if x == nil {
		return nil
	}
	texts := []string{x.GetSummary()}
	if x.GetCompared() > 0 {
		texts = append(texts, fmt.Sprintf("compared with others for %.0f jobs, it got %.0f; reputation %.2f", x.GetCompared(), x.GetWon(), x.GetReputation()))
	}
	if lost := x.GetLastLost(); lost != nil {
		texts = append(texts, fmt.Sprintf("the last job that went to another, at %s: score %.3f against %.3f",
			lost.GetAt().AsTime().Format(time.RFC3339), lost.GetScore(), lost.GetWinningScore()))
	}
	for i, w := range x.GetWaiting() {
		if i == maxReasons {
			texts = append(texts, fmt.Sprintf("and %d kinds of jobs more wait", len(x.GetWaiting())-i))
			break
		}
		why := "it is next in turn"
		if len(w.GetObstacles()) > 0 {
			why = "not given to it: " + strings.Join(w.GetObstacles(), ", ")
		}
		texts = append(texts, fmt.Sprintf("%d jobs for %s at %s a second wait; %s", w.GetJobs(), w.GetModel(), w.GetPricePerSecond(), why))
	}
	return texts
}
