package session

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// heldLink is a link whose sender runs when the test says so.
type heldLink struct {
	*link
	sender func()
	sent   []*coordinatorv1.ConnectResponse
	fault  error // of sending
	ended  error
}

func newHeldLink(limit int) *heldLink {
	h := &heldLink{}
	send := func(frame *coordinatorv1.ConnectResponse) error {
		h.sent = append(h.sent, frame)
		return h.fault
	}
	h.link = newLink(limit, send, func(cause error) { h.ended = cause }, func(sender func()) { h.sender = sender })
	return h
}

// run runs the sender that the link has started, if it has.
func (h *heldLink) run() bool {
	sender := h.sender
	if h.sender = nil; sender == nil {
		return false
	}
	sender()
	return true
}

func TestALinkKeepsTheOrderAndEndsWhenItIsFull(t *testing.T) {
	t.Parallel()
	l := newHeldLink(2)
	l.Revoke("one", coordinatorv1.ErrorReason_ERROR_REASON_CANCELLED, false)
	require.False(t, l.run(), "the handshake still sends")
	l.open()
	l.Text("two", 0)
	require.NoError(t, l.ended)
	require.True(t, l.run())
	require.Len(t, l.sent, 2)
	require.Equal(t, "one", l.sent[0].GetLeaseRevocation().GetLeaseId())
	require.Equal(t, "two", l.sent[1].GetChunkRequest().GetLeaseId())
	require.False(t, l.run())
	for range 2 {
		l.Text("more", 0)
	}
	require.NoError(t, l.ended, "there is room again")
	l.Text("too much", 0)
	require.ErrorIs(t, l.ended, errSlow)
}

func TestAClosedLinkDropsItsFramesAndSaysWhenNothingIsSent(t *testing.T) {
	t.Parallel()
	idle := newHeldLink(2)
	idle.open()
	<-idle.close()
	idle.Text("late", 0)
	require.False(t, idle.run())

	busy := newHeldLink(2)
	busy.open()
	busy.Text("waits", 0)
	sent := busy.close()
	select {
	case <-sent:
		require.Fail(t, "its sender has not ended")
	default:
	}
	require.True(t, busy.run())
	<-sent
	require.Empty(t, busy.sent)
}

func TestALinkEndsItsSessionWhenItCannotSend(t *testing.T) {
	t.Parallel()
	l := newHeldLink(2)
	l.fault = errors.New("broken pipe")
	l.open()
	l.Text("one", 0)
	l.Text("two", 0)
	require.True(t, l.run())
	require.ErrorIs(t, l.ended, l.fault)
	require.Len(t, l.sent, 1)
	l.Text("three", 0)
	require.False(t, l.run())
}
