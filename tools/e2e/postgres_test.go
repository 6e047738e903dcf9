package e2e

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/postgres/postgrestest"
)

func TestAJobGoesTheWholeWayOnPostgres(t *testing.T) {
	t.Parallel()
	store := postgrestest.Start(t)
	migrated := execute(t, nil, filepath.Join(programs, "aitbcd"), "coordinator", "migrate", "--store", store)
	require.Zero(t, migrated.Code, migrated.Stderr)
	n := startWithEngine(t, "--store", store)

	goTheWholeWay(t, n)

	require.NoFileExists(t, filepath.Join(filepath.Dir(n.LogFile()), "coordinator.db"))
	key := createKey(t, n, "5aitbc", "AITBC_STORE="+store)
	require.Equal(t, "5aitbc", call(t, n, http.MethodGet, "/v1/account", nil, "X-Api-Key", key).text("balance"))
}

func TestKillInTheMiddleOfAHundredJobsLosesNothingOnPostgres(t *testing.T) {
	t.Parallel()
	killInTheMiddle(t, startWithEngine(t, "--rate-limit", "0", "--store", postgrestest.Start(t)))
}
