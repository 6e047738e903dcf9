package aitbc_test

import (
	"crypto/ed25519"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func TestKeyIsMadeOnceAndReadBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys", "client.key")
	made, err := aitbc.LoadOrCreateKey(path)
	require.NoError(t, err)

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	info, err = os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())

	for _, read := range []func(string) (ed25519.PrivateKey, error){aitbc.LoadKey, aitbc.LoadOrCreateKey} {
		again, err := read(path)
		require.NoError(t, err)
		require.True(t, made.Equal(again))
	}
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestCallersAtOnceGetTheSameKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "client.key")
	keys := make([]ed25519.PrivateKey, 8)
	var group errgroup.Group
	for i := range keys {
		group.Go(func() (err error) {
			keys[i], err = aitbc.LoadOrCreateKey(path)
			return err
		})
	}
	require.NoError(t, group.Wait())
	for _, key := range keys {
		require.True(t, keys[0].Equal(key))
	}
}

func TestKeyFileRefused(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("5a", ed25519.SeedSize)
	cases := []struct {
		name, text string
		mode       fs.FileMode
		want       error
	}{
		{"others may read it", good, 0o644, fs.ErrPermission},
		{"the group may read it", good, 0o640, fs.ErrPermission},
		{"empty", "", 0o600, aitbc.ErrMalformed},
		{"too short", good[2:], 0o600, aitbc.ErrMalformed},
		{"too long", good + "00", 0o600, aitbc.ErrMalformed},
		{"much too long", strings.Repeat(good, 100), 0o600, aitbc.ErrMalformed},
		{"no hex", strings.Repeat("zz", ed25519.SeedSize), 0o600, aitbc.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "client.key")
			require.NoError(t, os.WriteFile(path, []byte(c.text), c.mode))
			for _, read := range []func(string) (ed25519.PrivateKey, error){aitbc.LoadKey, aitbc.LoadOrCreateKey} {
				_, err := read(path)
				require.ErrorIs(t, err, c.want)
			}
			left, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, c.text, string(left))
		})
	}
	_, err := aitbc.LoadKey(filepath.Join(t.TempDir(), "none.key"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}
