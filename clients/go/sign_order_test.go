package aitbc_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/clients/go/aitbctest"
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

func TestAnOrderIsGoodForAsLongAsItIsAskedTo(t *testing.T) {
	t.Parallel()
	server, err := aitbctest.Start(aitbctest.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	client, err := aitbc.New(server.Target(), aitbc.WithAPIKey(aitbctest.APIKey))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	for name, test := range map[string]struct{ asked, want time.Duration }{
		"by default":   {0, 5 * time.Minute},
		"shorter":      {time.Second, time.Second},
		"the longest":  {10 * time.Minute, 10 * time.Minute},
		"too long":     {10*time.Minute + 1, 0},
		"backwards":    {-1, 0},
		"out of range": {1<<63 - 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			earliest := time.Now()
			request, err := client.SignOrder(t.Context(), aitbc.SubmitRequest{Prompt: "p", Model: "m", OrderLife: test.asked}, server.AccountKey())
			if test.want == 0 {
				require.ErrorIs(t, err, aitbc.ErrMalformed)
				require.ErrorContains(t, err, "OrderLife")
				return
			}
			require.NoError(t, err)
			order := request.Order.Order
			expires := time.UnixMicro(order.ExpiresUS)
			require.False(t, expires.Before(earliest.Add(test.want).Truncate(time.Microsecond)), expires)
			require.False(t, expires.After(time.Now().Add(test.want)), expires)
			require.Equal(t, (6*time.Minute + time.Hour).Microseconds(), order.SettleByUS-order.ExpiresUS, "the escrow stays as long after it")
		})
	}
}
