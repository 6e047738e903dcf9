package aitbc_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func TestFullModelNames(t *testing.T) {
	t.Parallel()
	for model, want := range map[string]string{
		"tiny": "tiny:latest", "tiny:q4": "tiny:q4", "host:5000/tiny": "host:5000/tiny:latest", "host:5000/tiny:q4": "host:5000/tiny:q4",
	} {
		require.Equal(t, want, aitbc.FullModelName(model))
	}
}

func TestAnOrderWithoutAWholeKeyIsNotSigned(t *testing.T) {
	t.Parallel()
	client, err := aitbc.New("127.0.0.1:1", aitbc.WithOrderKey(ed25519.PrivateKey("short")), aitbc.WithCallTimeout(time.Second))
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	_, err = client.Submit(t.Context(), aitbc.SubmitRequest{Prompt: "p", Model: "m"})
	require.ErrorIs(t, err, aitbc.ErrMalformed)
}
