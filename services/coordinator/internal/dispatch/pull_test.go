package dispatch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
)

// puller makes a connected miner that has no model and may pull tiny.
func (w *world) puller(n byte) *player {
	w.t.Helper()
	p := w.miner(n, 1)
	p.state.Models, p.state.Pullable = nil, []string{"tiny"}
	p.connect()
	return p
}

// wanted gives the last pull request; nil: there was none.
func (p *player) wanted() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pulls) == 0 {
		return nil
	}
	return p.pulls[len(p.pulls)-1]
}

// pulls says how far the miner's pull of tiny is.
func (p *player) saysPull(done, total int64, trouble string) {
	p.w.t.Helper()
	p.state.Pulls = []*coordinatorv1.ModelPull{{Model: "tiny", CompletedBytes: done, TotalBytes: total, Error: trouble}}
	p.say()
}

// hasPulled says that the miner has the model.
func (p *player) hasPulled() {
	p.w.t.Helper()
	p.state = p.w.miner(1, 1).state
	p.say()
}

func (w *world) pullOf(j job.Job) *dispatch.Pull {
	w.t.Helper()
	x, err := w.Explain(w.t.Context(), j.ID)
	require.NoError(w.t, err)
	return x.Pull
}

// patient is a client that waits for two hours.
func patient(r *dispatch.SubmitRequest) { r.Queue, r.Total = 2*time.Hour, 3*time.Hour }

func TestAJobForAModelThatNobodyHasIsRunOnceItIsPulled(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.connected(9, 1).leave() // somebody was here
		p := w.puller(1)
		require.Equal(t, [][]string{nil}, p.pulls, "the whole of what is wanted, which is nothing")
		pass(time.Minute) // the other is forgotten
		q, err := w.Quote(t.Context(), request())
		require.NoError(t, err)
		require.Nil(t, q.Refusal)
		j := w.queue(patient)
		require.Equal(t, []string{tiny}, p.wanted())
		require.Equal(t, 1, w.pullOf(j).Pullers)
		require.Equal(t, p.id, w.pullOf(j).Miner)

		pass(time.Minute)
		p.saysPull(30, 90, "")
		x := w.pullOf(j)
		require.Equal(t, []int64{30, 90}, []int64{x.DoneBytes, x.TotalBytes})
		require.Len(t, p.pulls, 2, "nothing new is asked for")
		p.hasPulled()
		require.Empty(t, p.wanted(), "it need not be pulled any more")
		w.requireJob(j.ID, job.Leased, "", 0)
		require.Nil(t, w.pullOf(j))
		p.finish(p.lease())
	})
}

func TestAPullThatFailsIsAskedOfAnotherAndThenAgainAfterARest(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		first := w.puller(1)
		began := time.Now()
		j := w.queue(patient)
		require.Equal(t, []string{tiny}, first.wanted())
		first.saysPull(0, 0, "no such manifest")
		require.Empty(t, first.wanted())
		x := w.pullOf(j)
		require.Zero(t, x.Miner)
		require.Equal(t, []dispatch.PullFailure{{Miner: first.id, At: began.UTC(), Why: "no such manifest", Again: began.Add(time.Minute).UTC()}}, x.Failures)

		second := w.puller(2)
		require.Equal(t, []string{tiny}, second.wanted())
		second.saysPull(0, 0, "no such manifest")
		first.state.Pulls = nil
		first.say()
		pass(59 * time.Second)
		require.Empty(t, first.wanted())
		require.Empty(t, second.wanted())
		pass(time.Second)
		require.Equal(t, 1, len(first.wanted())+len(second.wanted()), "one of them is tried again")

		asked := 0
		for since := time.Now(); time.Since(since) < time.Hour; pass(30 * time.Second) {
			for _, p := range []*player{first, second} {
				p.state.Pulls = nil
				if len(p.wanted()) > 0 {
					asked++
					p.saysPull(0, 0, "no such manifest")
				}
				p.state.Pulls = nil
				p.say()
			}
		}
		require.LessOrEqual(t, asked, 14, "it rests longer after each failure")
		require.GreaterOrEqual(t, asked, 8)
		w.requireJob(j.ID, job.Queued, "", 0)
	})
}

func TestAJobWhoseModelCannotBePulledFailsWithTheReason(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		p := w.puller(1)
		told := w.queue()
		p.saysPull(0, 0, "no such manifest")
		pass(time.Hour)
		require.Contains(t, w.requireJob(told.ID, job.Settling, job.StatusFailed, queueTimeout).Failure.Message, "no such manifest")

		p.state.Pulls = nil
		p.say()
		slow := w.queue()
		p.saysPull(30, 90, "")
		pass(time.Minute)
		require.Contains(t, w.requireJob(slow.ID, job.Settling, job.StatusFailed, queueTimeout).Failure.Message, "still pulls the model, and has 30 of 90 bytes")
		require.Equal(t, []string{tiny}, p.wanted(), "what is half here goes on: the next job finds it")
	})
}

func TestAPullThatDoesNotGetOnIsAskedOfAnother(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		first := w.puller(1)
		j := w.queue(patient)
		second := w.puller(2)
		for done := range int64(3) {
			pass(119 * time.Second)
			first.saysPull(done+1, 90, "")
		}
		require.Equal(t, first.id, w.pullOf(j).Miner, "slow, but it gets on")
		pass(2 * time.Minute)
		require.Equal(t, second.id, w.pullOf(j).Miner)
		require.Empty(t, first.wanted())
		require.Contains(t, w.pullOf(j).Failures[0].Why, "it had 3 of 90 bytes")
		for done := range int64(40) {
			second.saysPull(done+1, 90, "")
			pass(100 * time.Second)
		}
		require.Contains(t, failed(w.pullOf(j)), second.id, "an hour is too long")
	})
}

// failed gives the miners that failed.
func failed(x *dispatch.Pull) (miners []aitbc.AccountID) {
	for _, f := range x.Failures {
		miners = append(miners, f.Miner)
	}
	return miners
}

func TestAMinerThatComesBackIsToldAgainWhatToPull(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		p := w.puller(1)
		w.queue(patient)
		p.leave()
		p.connect()
		require.Equal(t, [][]string{{tiny}}, p.pulls)
		p.leave()
		pass(time.Minute) // forgotten
		p.connect()
		require.Equal(t, []string{tiny}, p.wanted(), "it is the only one that may")
		require.Len(t, p.pulls, 2)
	})
}

func TestARestartTakesOverThePullsThatAreUnderWay(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		p := w.puller(1)
		j := w.queue(patient)
		p.saysPull(30, 90, "")
		w.restart()
		other := w.miner(2, 1)
		other.state.Models, other.state.Pullable = nil, []string{tiny}
		p.connect()
		other.connect()
		require.Equal(t, [][]string{{tiny}}, p.pulls)
		require.Equal(t, p.id, w.pullOf(j).Miner)
		require.EqualValues(t, 30, w.pullOf(j).DoneBytes)
		require.Empty(t, other.wanted())
	})
}

func TestPullsAreBounded(t *testing.T) {
	inWorld(t, func(c *dispatch.Config) { c.MaxPulls = 2 }, func(t *testing.T, w *world) {
		var pullers []*player
		for n := byte(1); n <= 4; n++ {
			p := w.miner(n, 1)
			p.state.Models, p.state.Pullable = nil, []string{"a", "b", "c", "A:latest", "a:latest"}
			p.connect()
			pullers = append(pullers, p)
		}
		for _, model := range []string{"a", "b", "c"} {
			w.queue(func(r *dispatch.SubmitRequest) { r.Model = model })
		}
		var asked []string
		for _, p := range pullers {
			require.LessOrEqual(t, len(p.wanted()), 1)
			asked = append(asked, p.wanted()...)
		}
		require.Len(t, asked, 2)
		require.NotEqual(t, asked[0], asked[1])
	})
}

func TestWhereNothingMayBePulledAModelThatNobodyHasIsRefused(t *testing.T) {
	inWorld(t, func(c *dispatch.Config) { c.MaxPulls = 0 }, func(t *testing.T, w *world) {
		w.puller(1)
		_, err := w.Submit(t.Context(), request())
		require.ErrorContains(t, err, "no connected miner has the model")
	})
}

func TestAPinnedDigestThatOthersLackIsNotPulled(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.connected(1, 1)
		w.puller(2)
		r := request()
		r.Digest[0] = 77
		_, err := w.Submit(t.Context(), r)
		require.ErrorContains(t, err, "no connected miner has the model")
		require.True(t, strings.HasSuffix(err.Error(), "or may pull it"))
	})
}

func TestAReplicaWhoseMinersMayPullTakesOneJobThatWaitsElsewhere(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		other := w.beside()
		defer other.stop()
		here := w.connected(9, 1)
		here.state.Models = nil
		here.say()
		_, err := w.Submit(t.Context(), request())
		require.Error(t, err, "nobody may pull it")
		w.SetOthers(dispatch.Others{Pullable: map[string][]int32{tiny: {2}}})
		first := w.queue(patient)
		pass(time.Second) // the oldest goes first
		second := w.queue(patient)
		require.True(t, w.pullOf(first).Elsewhere)
		p := other.puller(1)

		other.SetOthers(dispatch.Others{Pullable: map[string][]int32{tiny: {1}}})
		took, err := other.Relieve(t.Context(), []int32{1})
		require.NoError(t, err)
		require.Empty(t, took, "its own replica can have it pulled")
		other.SetOthers(dispatch.Others{})
		for range 2 {
			more, err := other.Relieve(t.Context(), []int32{1})
			require.NoError(t, err)
			if len(more) > 0 {
				require.Empty(t, took)
				took = more
			}
		}
		require.Equal(t, map[int32][]aitbc.JobID{1: {first.ID}}, took, "one is enough")
		pass(time.Second)
		require.Equal(t, []string{tiny}, p.wanted())
		p.hasPulled()
		p.finish(p.lease())
		took, err = other.Relieve(t.Context(), []int32{1})
		require.NoError(t, err)
		require.Equal(t, map[int32][]aitbc.JobID{1: {second.ID}}, took, "the others follow when there are slots")
	})
}
