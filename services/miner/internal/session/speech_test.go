package session_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/coordinatortest"
	"github.com/aitbc/aitbc/services/miner/internal/executor/ollamafake"
)

// dictated prepares a miner whose engine answers the prompt "dictate" with what the test says.
func dictated(t *testing.T) (*setup, chan<- string) {
	t.Helper()
	fake, words := ollamafake.Start(t), make(chan string)
	fake.OnPrompt("dictate", func(w http.ResponseWriter, r *http.Request) {
		said := 0
		for {
			select {
			case word, more := <-words:
				if !more {
					ollamafake.Done(w, 1, said)
					return
				}
				said++
				ollamafake.Chunk(w, word)
			case <-r.Context().Done():
				return
			}
		}
	})
	return prepare(t, fake.URL().String(), ollamafake.Model), words
}

func TestTheTextThatIsAskedForComesWordByWord(t *testing.T) {
	s, words := dictated(t)
	s.start(t)
	talk := s.coordinator.Session(t)
	lease := s.lease(t, s.digest(t, talk), coordinatortest.Job{Prompt: "dictate"})
	id := lease.GetLeaseId()
	talk.Offer(t, lease)
	talk.Ask(t, id, 0) // right behind the lease, before its state lists it
	for i, word := range []string{"one ", "two ", "thrée "} {
		words <- word
		talk.Text(t, id, int64(4*i), word) // it does not wait for the next
	}
	talk.Ask(t, id, 4)
	talk.Text(t, id, 4, "two thrée ")
	talk.Ask(t, id, 11) // within a character: not an offset that we gave
	words <- "four"
	close(words)
	require.Equal(t, "one two thrée four", talk.Result(t).GetResult())
}

func TestAfterALostSessionTheTextGoesOn(t *testing.T) {
	s, words := dictated(t)
	m := s.start(t)
	talk := s.coordinator.Session(t)
	lease := s.lease(t, s.digest(t, talk), coordinatortest.Job{Prompt: "dictate"})
	id := lease.GetLeaseId()
	talk.Offer(t, lease)
	talk.Ask(t, id, 0)
	words <- "one "
	talk.Text(t, id, 0, "one ")
	talk.Drop()
	words <- "two " // while there is no session
	talk = s.coordinator.Session(t)
	talk.Ask(t, id, 4)
	talk.Text(t, id, 4, "two ")
	words <- "three"
	talk.Text(t, id, 8, "three")
	close(words)
	require.Equal(t, "one two three", talk.Result(t).GetResult())
	require.EqualValues(t, 1, m.runner.Status().Completed, "it ran once")
}

func TestTextThatNobodyAskedForComesLater(t *testing.T) {
	s, words := dictated(t)
	s.start(t)
	talk := s.coordinator.Session(t)
	lease := s.lease(t, s.digest(t, talk), coordinatortest.Job{Prompt: "dictate"})
	talk.Offer(t, lease)
	for _, word := range []string{"one ", "two ", "three "} {
		words <- word
	}
	pieces := 0
	talk.Await(t, "the text", func(f *coordinatorv1.ConnectRequest) bool {
		pieces += len(f.GetAttemptChunk().GetText())
		return pieces == len("one two three ")
	})
	talk.Revoke(t, lease.GetLeaseId(), false)
}

func TestALongTextComesInPiecesThatFit(t *testing.T) {
	s, words := dictated(t)
	s.start(t)
	talk := s.coordinator.Session(t)
	lease := s.lease(t, s.digest(t, talk), coordinatortest.Job{Prompt: "dictate"})
	id := lease.GetLeaseId()
	talk.Offer(t, lease)
	long := "x" + strings.Repeat("é", 100_000)
	words <- long
	words <- "y" // the engine is not kept waiting by the line
	talk.Ask(t, id, 0)
	got := ""
	talk.Await(t, "the text", func(f *coordinatorv1.ConnectRequest) bool {
		if chunk := f.GetAttemptChunk(); chunk != nil {
			require.LessOrEqual(t, len(chunk.GetText()), 64<<10)
			require.LessOrEqual(t, chunk.GetOffset(), int64(len(got)))
			got = got[:chunk.GetOffset()] + chunk.GetText()
		}
		return got == long+"y"
	})
	talk.Revoke(t, id, false)
}
