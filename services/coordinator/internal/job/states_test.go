package job_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// statesPage is the specification: people read and change its tables, the code is held to them.
const statesPage = "../../../../docs/states.md"

// updateStates, when set, writes the code's behaviour into the page's tables, for review.
const updateStates = "AITBC_UPDATE_DOCS"

type named[T any] struct {
	name string
	is   T
}

// states are all situations that differ in what is allowed.
func states() []named[job.Job] {
	queued := after(newJob(), escrowed)
	running := after(queued, leased, started)
	return []named[job.Job]{
		{"escrowing", newJob()},
		{"escrowing, cancelled", after(newJob(), cancelled)},
		{"queued", queued},
		{"queued again", after(running, failed)},
		{"leased", after(queued, leased)},
		{"running", running},
		{"unknown", after(running, streamLost)},
		{"last attempt", after(running, failed, leased, started, func(j job.Job) (job.Job, job.Message, error) {
			j.MaxAttempts = j.Attempt
			return j, job.None, nil
		})},
		{"leased, told to stop", after(queued, leased, cancelled)},
		{"running, told to stop", after(running, cancelled)},
		{"unknown, told to stop", after(running, cancelled, streamLost)},
		{"settling a receipt", after(running, accepted)},
		{"settling a stopped one's receipt", after(running, cancelled, accepted)},
		{"settling a refund", after(queued, cancelled)},
		{"done, completed", after(running, accepted, receipt)},
		{"done, failed", after(running, accepted, refund)},
		{"done, cancelled", after(queued, cancelled, refund)},
	}
}

func events() []named[step] {
	return []named[step]{
		{"Escrowed", escrowed},
		{"EscrowRefused", func(j job.Job) (job.Job, job.Message, error) {
			return j.EscrowRefused(at(5), job.Failure{Reason: coordinatorv1.ErrorReason_ERROR_REASON_ESCROW_REFUSED})
		}},
		{"LeasedTo", leased},
		{"Started", started},
		{"Lost", streamLost},
		{"Found", func(j job.Job) (job.Job, job.Message, error) { return j.Found() }},
		{"Accepted", accepted},
		{"AttemptFailed", failed},
		{"GaveUp", func(j job.Job) (job.Job, job.Message, error) { return j.GaveUp() }},
		{"Cancelled", cancelled},
		{"Expired", func(j job.Job) (job.Job, job.Message, error) { return j.Expired(at(100_000)) }},
		{"Settled, receipt", receipt},
		{"Settled, refund", refund},
	}
}

func TestStatesPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(statesPage)
	require.NoError(t, err)
	page := string(text)
	for name, table := range map[string]string{
		"states": statesTable(), "transitions": transitionsTable(), "failures": failuresTable(), "times": timesTable(),
	} {
		begin, end := fmt.Sprintf("<!-- %s -->\n", name), fmt.Sprintf("<!-- end of %s -->", name)
		before, rest, ok := strings.Cut(page, begin)
		require.True(t, ok, "the page lacks the mark %q", begin)
		want, behind, ok := strings.Cut(rest, end)
		require.True(t, ok, "the page lacks the mark %q", end)
		if os.Getenv(updateStates) != "" {
			page = before + begin + table + end + behind
			continue
		}
		require.Equal(t, want, table, "the code does what docs/states.md does not say (to see it there: %s=1)", updateStates)
	}
	if os.Getenv(updateStates) != "" {
		require.NoError(t, os.WriteFile(statesPage, []byte(page), 0o600))
	}
}

func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

func header(cells ...string) string {
	return row(cells...) + strings.Repeat("|---", len(cells)) + "|\n"
}

func describe(j job.Job) string {
	text := string(j.Phase)
	if j.Outcome != "" {
		text += "/" + string(j.Outcome)
	}
	return text
}

func statesTable() string {
	table := header("situation", "status", "phase/outcome", "miner holds it", "timeout runs")
	yes := map[bool]string{true: "yes", false: ""}
	for _, s := range states() {
		table += row(s.name, string(s.is.Status()), describe(s.is), yes[s.is.HasLease()], yes[!s.is.Deadline().IsZero()])
	}
	return table
}

func transitionsTable() string {
	var names []string
	for _, e := range events() {
		names = append(names, e.name)
	}
	table := header(append([]string{"situation"}, names...)...)
	for _, s := range states() {
		cells := []string{s.name}
		for _, e := range events() {
			next, owed, err := e.is(s.is)
			switch {
			case err != nil:
				cells = append(cells, "")
			case owed != job.None:
				cells = append(cells, fmt.Sprintf("%s, owes %s", describe(next), owed))
			case describe(next) == describe(s.is) && next.StopBy.Equal(s.is.StopBy):
				cells = append(cells, "=")
			case !next.StopBy.IsZero() && s.is.StopBy.IsZero():
				cells = append(cells, describe(next)+", told to stop")
			default:
				cells = append(cells, describe(next))
			}
		}
		table += row(cells...)
	}
	return table
}

// failuresTable asks a running job with attempts left, once with and once without an execution
// limit of the client's own.
func failuresTable() string {
	table := header("reason", "then", "this miner again", "its reputation", "when the client set the limit")
	running := after(newJob(), escrowed, leased, started)
	limited := running
	limited.ClientLimit = true
	fail := func(j job.Job, reason coordinatorv1.ErrorReason) job.Job {
		return after(j, func(j job.Job) (job.Job, job.Message, error) {
			return j.AttemptFailed(at(9), j.Miner, j.Attempt, job.Failure{Reason: reason})
		})
	}
	for _, reason := range []coordinatorv1.ErrorReason{
		coordinatorv1.ErrorReason_ERROR_REASON_MINER_LOST,
		coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_OVERLOADED,
		coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_ERROR,
		coordinatorv1.ErrorReason_ERROR_REASON_ENGINE_INCOMPLETE,
		coordinatorv1.ErrorReason_ERROR_REASON_PROOF_REJECTED,
		coordinatorv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND,
		coordinatorv1.ErrorReason_ERROR_REASON_EXECUTION_LIMIT,
		coordinatorv1.ErrorReason_ERROR_REASON_REQUEST_REJECTED,
		coordinatorv1.ErrorReason_ERROR_REASON_CANCELLED,
		coordinatorv1.ErrorReason_ERROR_REASON_INTERNAL,
	} {
		plain, own := fail(running, reason), fail(limited, reason)
		again, reputation, special := "may", "", ""
		if plain.Excludes(minerA) {
			again = "never"
		}
		if job.Judge(reason).Blame {
			reputation = "suffers"
		}
		if describe(own) != describe(plain) {
			special = describe(own)
		}
		table += row("`"+strings.TrimPrefix(reason.String(), "ERROR_REASON_")+"`", describe(plain), again, reputation, special)
	}
	return table
}

func timesTable() string {
	table := header("time", "value", "meaning")
	for _, c := range []struct {
		name    string
		value   time.Duration
		meaning string
	}{
		{"LeaseGrace", job.LeaseGrace, "how much longer than the execution limit a lease lasts while no start was reported"},
		{"UnknownGrace", job.UnknownGrace, "how long a job waits for its miner's stream to come back"},
		{"StopGrace", job.StopGrace, "how long a miner told to stop has for its one statement"},
	} {
		table += row("`"+c.name+"`", c.value.String(), c.meaning)
	}
	return table
}
