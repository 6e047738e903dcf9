package postgres

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/postgres/postgrestest"
)

// TestEveryQueryUsesAnIndex holds every query to an index condition: neither history nor depth must
// change what a call costs. The plans are the generic ones that run, made on empty tables, whose
// statistics tempt the planner most.
func TestEveryQueryUsesAnIndex(t *testing.T) {
	t.Parallel()
	st, err := Open(t.Context(), postgrestest.Start(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	for name, query := range map[string]string{
		"jobs by id": selectJobs, "lock jobs": lockJobs, "confirm jobs": confirmJobs,
		"jobs of a client": selectJobsOfClient, "live jobs of a client": selectLiveOfClient, "done jobs of a client": selectDoneOfClient,
		"held jobs": selectHeld, "jobs of a miner": selectHeldByMiner, "a line of waiting jobs": selectWaiting, "due jobs": selectDue,
		"waiting clients": selectWaitingClients, "escrows": selectEscrows, "payloads": selectPayloads, "shards": selectShards, "ended jobs": selectEnded, "deleted payloads": deletePayloads, "deleted results": deleteResults, "lock the replica": lockReplica,
		"live jobs": selectLive, "the outbox": selectOutbox, "update": updateLive, "delete": deleteLive,
		"a request": selectRequest, "present requests": presentRequests, "replaced requests": deleteRequests,
		"expired requests": forgetRequests, "paid messages": deleteOwed,
	} {
		t.Run(name, func(t *testing.T) {
			plan := explain(t, st, query)
			require.NotContains(t, plan, "Seq Scan", "reads a whole table")
			require.NotContains(t, plan, "Hash Join")
			require.Contains(t, plan, "Index")
			for _, node := range strings.Split(plan, "->")[1:] {
				if strings.Contains(node, "Index Scan") || strings.Contains(node, "Index Only Scan") {
					require.Contains(t, node, "Index Cond", "reads a whole index: %s", plan)
				}
			}
			require.NotContains(t, plan, "Sort", "sorts")
		})
	}
}

// TestPlansOfLists looks at the two indexes that keep a page as cheap as its rows.
func TestPlansOfLists(t *testing.T) {
	t.Parallel()
	st, err := Open(t.Context(), postgrestest.Start(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	for query, index := range map[string]string{ // regular expressions
		selectLiveOfClient: `live_jobs_of_client on live_jobs l\s+Index Cond: \(\(client = \$1\) AND \(status = \$2\) AND \(id < \$3\)\)`,
		selectDoneOfClient: `done_jobs_of_client on done_jobs d\s+Index Cond: \(\(client = \$1\) AND \(\(status\)::text = \$2\) AND \(id < \$3\)\)`,
		selectJobsOfClient: `orders_of_client on orders o\s+Index Cond: \(\(\(client\)::bytea = \$1\) AND \(job_id < \$2\)\)`,
		selectLive:         `live_jobs_pkey on live_jobs l\s+Index Cond: \(id > \$1\)`,
	} {
		require.Regexp(t, index, explain(t, st, query))
	}
}

// explain gives the plan of a query without its costs, with every parameter unknown.
func explain(t *testing.T, st *Store, query string) string {
	t.Helper()
	conn, err := st.writing.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), "DEALLOCATE ALL")
	require.NoError(t, err)
	_, err = conn.Conn().PgConn().Prepare(t.Context(), "asked", query, nil)
	require.NoError(t, err)
	parameters := slices.Sorted(slices.Values(regexp.MustCompile(`\$\d+`).FindAllString(query, -1)))
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(slices.Compact(parameters))), ", ")
	rows, err := conn.Conn().PgConn().Exec(t.Context(), fmt.Sprintf("EXPLAIN (COSTS OFF) EXECUTE asked (%s)", nulls)).ReadAll()
	require.NoError(t, err)
	var plan strings.Builder
	for _, row := range rows[0].Rows {
		plan.Write(row[0])
		plan.WriteByte('\n')
	}
	return plan.String()
}
