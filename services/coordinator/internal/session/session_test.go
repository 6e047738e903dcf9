package session_test

import (
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/session"
	"github.com/aitbc/aitbc/services/internal/rpc"
)

const (
	invalidKey   = coordinatorv1.ErrorReason_ERROR_REASON_INVALID_KEY
	invalidField = coordinatorv1.ErrorReason_ERROR_REASON_INVALID_FIELD
	abandoned    = coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED
	overloaded   = coordinatorv1.ErrorReason_ERROR_REASON_OVERLOADED
	wrongState   = coordinatorv1.ErrorReason_ERROR_REASON_WRONG_STATE
	internal     = coordinatorv1.ErrorReason_ERROR_REASON_INTERNAL
	notHeld      = coordinatorv1.ErrorReason_ERROR_REASON_LEASE_NOT_HELD
)

func TestAMinerThatProvesItsKeyIsWelcome(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.welcomed()
		r := w.dispatcher.sessions[0]
		require.Equal(t, minerID, r.ID)
		require.Equal(t, minerKey.Public(), r.Key)
		require.Equal(t, aitbc.Amount(10), r.Stake)
		require.NoError(t, c.CloseSend())
		_, err := c.Recv()
		require.ErrorIs(t, err, io.EOF)
		synctest.Wait()
		require.Equal(t, []uint64{1}, w.dispatcher.gone)
	})
}

// Of two sessions that a miner opens one after the other the later one must count.
func TestAMinerIsWelcomedWhenItsSessionCounts(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.dispatcher.held = make(chan struct{})
		c := w.dial()
		c.hello()
		c.prove([]byte(aitbc.PlaintextBinding), nil)
		welcomed := make(chan error, 1)
		go func() {
			_, err := c.Recv()
			welcomed <- err
		}()
		synctest.Wait()
		require.Empty(t, welcomed)
		close(w.dispatcher.held)
		require.NoError(t, <-welcomed)
	})
}

func TestAProofThatDoesNotHoldIsRefused(t *testing.T) {
	cases := map[string]struct {
		edit   func(*aitbc.SessionChallenge)
		ledger func(*fakeLedger)
		want   coordinatorv1.ErrorReason
	}{
		"another channel":  {edit: func(c *aitbc.SessionChallenge) { c.ChannelBinding = []byte("other") }, want: invalidKey},
		"another operator": {edit: func(c *aitbc.SessionChallenge) { c.Operator[0]++ }, want: invalidKey},
		"another chain":    {edit: func(c *aitbc.SessionChallenge) { c.ChainID = "other" }, want: invalidKey},
		"an old challenge": {edit: func(c *aitbc.SessionChallenge) { c.Challenge[0]++ }, want: invalidKey},
		"another miner":    {edit: func(c *aitbc.SessionChallenge) { c.Miner[0]++ }, want: invalidKey},
		"another key":      {ledger: func(l *fakeLedger) { l.key = operatorKey.Public().(ed25519.PublicKey) }, want: invalidKey},
		"too little stake": {ledger: func(l *fakeLedger) { l.stake = 9 }, want: invalidKey},
		"not registered":   {ledger: func(l *fakeLedger) { l.err = &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND} }, want: invalidKey},
		"no ledger to know": {ledger: func(l *fakeLedger) {
			l.err = &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE}
		}, want: coordinatorv1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				if c.ledger != nil {
					c.ledger(w.ledger)
				}
				stream := w.dial()
				stream.hello()
				stream.prove([]byte(aitbc.PlaintextBinding), c.edit)
				stream.ends(c.want)
				require.Empty(t, w.dispatcher.sessions)
			})
		})
	}
}

func TestTooManyHandshakesAtOnceAreRefused(t *testing.T) {
	inWorld(t, func(c *session.Config) { c.Handshakes = 2 }, func(t *testing.T, w *world) {
		welcomed := w.welcomed()
		silent, half := w.dial(), w.dial()
		half.hello()
		synctest.Wait()
		w.dial().ends(overloaded)
		took := passed(func() { silent.ends(coordinatorv1.ErrorReason_ERROR_REASON_CALL_ABANDONED) })
		require.Equal(t, w.config.Handshake, took)
		synctest.Wait()
		w.welcomed() // there is room again
		welcomed.send(state())
		synctest.Wait()
		require.Len(t, w.dispatcher.states, 1, "a miner that was welcomed takes no room")
	})
}

func TestFramesOutOfOrderEndTheSession(t *testing.T) {
	hello := func(edit func(*coordinatorv1.MinerHello)) *coordinatorv1.ConnectRequest {
		h := &coordinatorv1.MinerHello{MinerId: minerID.String(), Protocol: 1}
		edit(h)
		return &coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_Hello{Hello: h}}
	}
	first := map[string]*coordinatorv1.ConnectRequest{
		"no hello":         state(),
		"an empty frame":   {},
		"another protocol": hello(func(h *coordinatorv1.MinerHello) { h.Protocol = 2 }),
		"no account":       hello(func(h *coordinatorv1.MinerHello) { h.MinerId = "miner" }),
	}
	open := map[string]*coordinatorv1.ConnectRequest{
		"hello again":      hello(func(*coordinatorv1.MinerHello) {}),
		"no lease's id":    {Frame: &coordinatorv1.ConnectRequest_AttemptStart{AttemptStart: &coordinatorv1.AttemptStart{LeaseId: "x"}}},
		"negative slots":   state(func(s *coordinatorv1.MinerState) { s.Slots = -1 }),
		"too many slots":   state(func(s *coordinatorv1.MinerState) { s.Slots = 2000 }),
		"a negative floor": state(func(s *coordinatorv1.MinerState) { s.PriceFloorUaitbc = -1 }),
		"a model's name":   state(func(s *coordinatorv1.MinerState) { s.Models[0].Name = strings.Repeat("x", 201) }),
		"a model's slots":  state(func(s *coordinatorv1.MinerState) { s.Models[0].Slots = 2000 }),
		"too many models":  state(func(s *coordinatorv1.MinerState) { s.Models = slices.Repeat(s.Models, 1001) }),
		"a long engine":    state(func(s *coordinatorv1.MinerState) { s.Engine = strings.Repeat("x", 65) }),
	}
	inWorld(t, nil, func(t *testing.T, w *world) {
		for name, frame := range first {
			c := w.dial()
			c.send(frame)
			t.Log(name)
			c.ends(invalidField)
		}
		c := w.dial()
		c.hello()
		c.send(state())
		c.ends(invalidField)
		require.Empty(t, w.dispatcher.sessions)
		for name, frame := range open {
			c := w.welcomed()
			c.send(frame)
			t.Log(name)
			c.ends(invalidField)
		}
		synctest.Wait()
		require.Len(t, w.dispatcher.gone, len(open))
	})
}

func TestASlowHandshakeEndsInTime(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello()
		require.Equal(t, w.config.Handshake, passed(func() { c.ends(abandoned) }))
	})
}

func TestSilenceOfThreeHeartbeatsEndsTheSession(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.welcomed()
		for range 10 {
			<-time.After(3*w.config.Heartbeat - time.Millisecond)
			c.send(state())
			synctest.Wait()
		}
		require.Len(t, w.dispatcher.states, 10)
		require.Equal(t, 3*w.config.Heartbeat, passed(func() { c.ends(abandoned) }))
		synctest.Wait()
		require.Equal(t, []uint64{1}, w.dispatcher.gone)
	})
}

func TestAStakeIsWatchedWhileTheSessionLasts(t *testing.T) {
	unknown := &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_MINER_NOT_FOUND}
	away := &job.Error{Why: coordinatorv1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE}
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.welcomed()
		look := func(stake aitbc.Amount, err error) []standing {
			w.ledger.says(stake, err)
			for range w.config.StakeInterval / w.config.Heartbeat {
				<-time.After(w.config.Heartbeat)
				c.send(state())
			}
			synctest.Wait()
			told := w.dispatcher.stakes
			w.dispatcher.stakes = nil
			return told
		}
		require.Equal(t, []standing{{10, true}}, look(10, nil))
		require.Equal(t, []standing{{9, false}}, look(9, nil))
		require.Empty(t, look(0, away), "who does not answer says nothing")
		require.Equal(t, []standing{{11, true}}, look(11, nil))
		require.Equal(t, []standing{{0, false}}, look(11, unknown))
	})
}

func TestAReplacedSessionEnds(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.welcomed()
		w.dispatcher.link().End()
		c.ends(wrongState)
		c = w.welcomed()
		w.dispatcher.stateErr = dispatch.ErrReplaced
		c.send(state())
		c.ends(wrongState)
	})
}

// A fault of ours in one miner's frame ends its session and nothing else.
func TestAPanicEndsOneSession(t *testing.T) {
	for name, frame := range map[string]*coordinatorv1.ConnectRequest{
		"while a frame is taken":     state(),
		"while a frame is worked on": {Frame: &coordinatorv1.ConnectRequest_AttemptStart{AttemptStart: &coordinatorv1.AttemptStart{LeaseId: leaseID}}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				c := w.welcomed()
				w.dispatcher.faulty = true
				c.send(frame)
				c.ends(internal)
				synctest.Wait()
				require.Equal(t, []uint64{1}, w.dispatcher.gone)
				w.dispatcher.faulty = false
				w.welcomed().send(state())
				synctest.Wait()
				require.Len(t, w.dispatcher.states, 1)
			})
		})
	}
}

func TestAStoppingServerEndsItsSessions(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.welcomed()
		go w.stop()
		c.ends(overloaded)
		synctest.Wait()
		require.Equal(t, []uint64{1}, w.dispatcher.gone)
	})
}

func TestAMinerThatDoesNotReadLosesItsSession(t *testing.T) {
	inWorld(t, func(c *session.Config) { c.SendQueue = 4 }, func(t *testing.T, w *world) {
		c := w.welcomed()
		prompt := strings.Repeat("x", 200_000)
		for range 20 {
			w.dispatcher.link().Lease(dispatch.Handover{Job: job.Job{ID: jobID, Attempt: 1}, Payload: job.Payload{Prompt: prompt}})
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		require.Equal(t, []uint64{1}, w.dispatcher.gone, "and nobody waited for it")
		c.ends(overloaded)
	})
}

func TestFramesBecomeCalls(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.welcomed()
		c.send(state(func(s *coordinatorv1.MinerState) {
			s.RunningLeaseIds, s.FinishedLeaseIds, s.Draining = []string{"a"}, []string{"b"}, true
		}))
		c.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptStart{AttemptStart: &coordinatorv1.AttemptStart{LeaseId: leaseID}}})
		require.Equal(t, []string{"start"}, w.dispatcher.told())
		require.Equal(t, []string{"a"}, w.dispatcher.states[0].Running)
		require.Equal(t, []string{"b"}, w.dispatcher.states[0].Finished)
		require.True(t, w.dispatcher.states[0].Draining)
		require.Equal(t, 2, w.dispatcher.states[0].Slots)
		c.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptFailure{AttemptFailure: &coordinatorv1.AttemptFailure{
			LeaseId: leaseID, Reason: "ENGINE_ERROR", Message: "broken",
		}}})
		require.Equal(t, "fail ERROR_REASON_ENGINE_ERROR broken", w.dispatcher.told()[1])

		completion := &job.Completion{Statement: aitbc.Statement{ChainID: chain, JobID: jobID}, MeteredUS: 7, AcceptanceSignature: []byte("signed")}
		w.dispatcher.answer = job.Job{ID: jobID, Attempt: 1, Completion: completion}
		utilization := 0.5
		c.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptResult{AttemptResult: &coordinatorv1.AttemptResult{
			LeaseId: leaseID, Result: "yes", StatementBody: []byte("body"), StatementSignature: []byte("sig"),
			Metrics: &coordinatorv1.JobMetrics{GpuUtilization: &utilization},
		}}})
		frame, err := c.Recv()
		require.NoError(t, err)
		require.Equal(t, leaseID, frame.GetResultAcceptance().GetLeaseId())
		require.Equal(t, completion.Acceptance().SigningBytes(), frame.GetResultAcceptance().GetAcceptance().GetBody())
		require.Equal(t, []byte("signed"), frame.GetResultAcceptance().GetAcceptance().GetSignature())
		require.Equal(t, int64(7), frame.GetResultAcceptance().GetAcceptance().GetMeteredUs())
		require.Equal(t, dispatch.Result{
			JobID: jobID, Attempt: 1, Result: "yes", Statement: []byte("body"), Signature: []byte("sig"), GPUUtilization: &utilization,
		}, w.dispatcher.result)

		claim := &coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_JobClaim{JobClaim: &coordinatorv1.JobClaim{JobId: jobID.String()}}}
		c.send(claim)
		frame, err = c.Recv()
		require.NoError(t, err)
		require.Equal(t, leaseID, frame.GetJobClaimAnswer().GetLeaseId())
		w.dispatcher.refusal = job.Errorf(wrongState, "no")
		c.send(claim)
		frame, err = c.Recv()
		require.NoError(t, err)
		require.Equal(t, "WRONG_STATE", frame.GetJobClaimAnswer().GetReason())
	})
}

func TestPiecesOfTextComeInOrder(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.welcomed()
		chunk := func(offset int64, text string) *coordinatorv1.ConnectRequest {
			return &coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptChunk{AttemptChunk: &coordinatorv1.AttemptChunk{
				LeaseId: leaseID, Offset: offset, Text: text,
			}}}
		}
		var want []string
		for i := range int64(20) {
			c.send(chunk(i, "x"))
			want = append(want, fmt.Sprintf("chunk %s %d %q", leaseID, i, "x"))
			c.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptProgress{AttemptProgress: &coordinatorv1.AttemptProgress{
				LeaseId: leaseID, TextBytes: i + 1, Ending: "!",
			}}})
			want = append(want, fmt.Sprintf("progress %s %d %q", leaseID, i+1, "!"))
		}
		require.Equal(t, want, w.dispatcher.told())
		w.dispatcher.link().Text(leaseID, 7)
		frame, err := c.Recv()
		require.NoError(t, err)
		require.Equal(t, leaseID, frame.GetChunkRequest().GetLeaseId())
		require.EqualValues(t, 7, frame.GetChunkRequest().GetFromOffset())

		for _, bad := range []*coordinatorv1.ConnectRequest{chunk(-1, "x"), chunk(0, strings.Repeat("x", 64<<10+1))} {
			c := w.welcomed()
			c.send(bad)
			c.ends(invalidField)
		}
	})
}

func TestAMinerSaysWhatItMayPullAndIsToldWhatToPull(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.welcomed()
		pulls := []*coordinatorv1.ModelPull{{Model: "big:latest", CompletedBytes: 3, TotalBytes: 9, Error: "no such manifest"}}
		c.send(state(func(s *coordinatorv1.MinerState) { s.PullableModels, s.Pulls = []string{"big:latest"}, pulls }))
		synctest.Wait()
		heard := w.dispatcher.states[0]
		require.Equal(t, []string{"big:latest"}, heard.Pullable)
		require.True(t, proto.Equal(pulls[0], heard.Pulls[0]))
		w.dispatcher.link().Pull([]string{"big:latest"})
		frame, err := c.Recv()
		require.NoError(t, err)
		require.Equal(t, []string{"big:latest"}, frame.GetPullRequest().GetModels())

		for name, spoil := range map[string]func(*coordinatorv1.MinerState){
			"no name":           func(s *coordinatorv1.MinerState) { s.PullableModels = []string{""} },
			"a long name":       func(s *coordinatorv1.MinerState) { s.PullableModels = []string{strings.Repeat("x", 201)} },
			"too many":          func(s *coordinatorv1.MinerState) { s.PullableModels = slices.Repeat([]string{"x"}, 1001) },
			"too many pulls":    func(s *coordinatorv1.MinerState) { s.Pulls = slices.Repeat(pulls, 1001) },
			"a pull of nothing": func(s *coordinatorv1.MinerState) { s.Pulls = []*coordinatorv1.ModelPull{{}} },
			"a long error": func(s *coordinatorv1.MinerState) {
				s.Pulls = []*coordinatorv1.ModelPull{{Model: "x", Error: strings.Repeat("x", 1001)}}
			},
			"less than nothing": func(s *coordinatorv1.MinerState) { s.Pulls = []*coordinatorv1.ModelPull{{Model: "x", TotalBytes: -1}} },
		} {
			t.Log(name)
			c := w.welcomed()
			c.send(state(spoil))
			c.ends(invalidField)
		}
	})
}

func TestAMinerThatWantsToIsToldWhyItGetsItsJobs(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.dial()
		c.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_Hello{Hello: &coordinatorv1.MinerHello{
			MinerId: minerID.String(), Protocol: 1, WantsExplanation: true,
		}}})
		c.prove([]byte(aitbc.PlaintextBinding), nil)
		frame, err := c.Recv()
		require.NoError(t, err)
		require.NotNil(t, frame.GetWelcome())
		told := 0
		for _, after := range []time.Duration{0, 0, 4 * time.Second, 2 * time.Second} {
			<-time.After(after)
			c.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_State{State: &coordinatorv1.MinerState{Slots: 1}}})
			synctest.Wait()
		}
		w.dispatcher.link().Text(leaseID, 0) // the last frame
		for {
			frame, err := c.Recv()
			require.NoError(t, err)
			if frame.GetChunkRequest() != nil {
				break
			}
			require.Equal(t, minerID.String(), frame.GetExplanation().GetMinerId())
			told++
		}
		require.Equal(t, 2, told, "at the first state, and 5 s later at the earliest")
	})
}

func TestARefusedLeaseIsRevoked(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.welcomed()
		w.dispatcher.refusal = job.ErrLeaseNotHeld
		start := &coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptStart{AttemptStart: &coordinatorv1.AttemptStart{LeaseId: leaseID}}}
		result := &coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptResult{AttemptResult: &coordinatorv1.AttemptResult{LeaseId: leaseID}}}
		for _, frame := range []*coordinatorv1.ConnectRequest{start, result} {
			c.send(frame)
			answer, err := c.Recv()
			require.NoError(t, err)
			require.Equal(t, leaseID, answer.GetLeaseRevocation().GetLeaseId())
			require.Equal(t, "LEASE_NOT_HELD", answer.GetLeaseRevocation().GetReason())
			require.False(t, answer.GetLeaseRevocation().GetSettle())
		}
		w.dispatcher.refusal = errors.New("the store is broken")
		c.send(result)
		c.ends(coordinatorv1.ErrorReason_ERROR_REASON_INTERNAL)
	})
}

func TestWhatDispatchWantsIsSent(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.welcomed()
		j := job.Job{ID: jobID, Attempt: 1, Type: "inference", Model: "tiny:latest", LeaseSignature: []byte("signed"), ClientLimit: true}
		w.dispatcher.link().Lease(dispatch.Handover{Job: j, Payload: job.Payload{Prompt: "why?"}})
		w.dispatcher.link().Revoke(leaseID, notHeld, true)
		frame, err := c.Recv()
		require.NoError(t, err)
		lease := frame.GetLease()
		require.Equal(t, leaseID, lease.GetLeaseId())
		require.Equal(t, j.Lease().SigningBytes(), lease.GetBody())
		require.Equal(t, "why?", lease.GetPrompt())
		require.True(t, lease.GetSettleAtLimit())
		frame, err = c.Recv()
		require.NoError(t, err)
		require.True(t, frame.GetLeaseRevocation().GetSettle())
	})
}

// TestOverTLSTheProofIsBoundToTheChannel uses a real network connection: there is no other way to
// have a channel.
func TestOverTLSTheProofIsBoundToTheChannel(t *testing.T) {
	t.Parallel()
	certificate := selfSigned(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := serve(t, listener, rpc.Options{TLS: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}}, nil)
	defer w.stop()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()

	plain := dial(t, conn)
	plain.hello()
	plain.prove([]byte(aitbc.PlaintextBinding), nil)
	plain.ends(invalidKey)

	bound := dial(t, conn)
	bound.hello()
	_, err = bound.Header()
	require.NoError(t, err)
	p, ok := peer.FromContext(bound.Context())
	require.True(t, ok)
	state := p.AuthInfo.(credentials.TLSInfo).State
	binding, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	require.NoError(t, err)
	bound.prove(binding, nil)
	frame, err := bound.Recv()
	require.NoError(t, err)
	require.NotNil(t, frame.GetWelcome())
}
