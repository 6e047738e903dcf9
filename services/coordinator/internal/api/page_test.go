package api

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPagesOfAListInMemory(t *testing.T) {
	t.Parallel()
	all := []string{"a", "b", "c", "d", "e"}
	same := func(s string) string { return s }
	var got []string
	token := ""
	for pages := 1; ; pages++ {
		part, next, err := page(all, same, "letters", token, 2)
		require.NoError(t, err)
		got = append(got, part...)
		if token = next; token == "" {
			require.Equal(t, 3, pages)
			break
		}
	}
	require.Equal(t, all, got)

	_, next, err := page(all, same, "letters", "", 2)
	require.NoError(t, err)
	_, _, err = page(all, same, "digits", next, 2)
	require.ErrorContains(t, err, "another list")
	part, _, err := page([]string{"aa", "c"}, same, "letters", next, 2)
	require.NoError(t, err)
	require.Equal(t, []string{"c"}, part, "goes on behind the last key although that is gone")
}

func TestPageSizes(t *testing.T) {
	t.Parallel()
	for asked, want := range map[int32]int{0: 50, 1: 1, 1000: 1000, 1001: 1000} {
		require.Equal(t, want, pageSize(asked))
	}
}

func FuzzPageToken(f *testing.F) {
	f.Add(pageToken{list: "l", key: []byte("k")}.String())
	f.Add(base64.RawURLEncoding.EncodeToString([]byte{9, 1, 2, 3, 4, 5, 6, 7, 8, 9}))
	f.Add(strings.Repeat("A", 11))
	f.Add("=")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := parsePageToken(text, "l")
		if err != nil || text == "" {
			return
		}
		require.Equal(t, text, token.String(), "a token has one text")
	})
}
