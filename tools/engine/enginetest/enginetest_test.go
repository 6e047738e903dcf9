package enginetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/tools/engine/enginetest"
)

func TestWithoutASharedEngineATestHasItsOwn(t *testing.T) {
	t.Parallel()
	first, second := enginetest.Start(t), enginetest.Start(t)
	require.NotSame(t, first, second)
	_, err := first.Client().Version(t.Context())
	require.NoError(t, err)
}
