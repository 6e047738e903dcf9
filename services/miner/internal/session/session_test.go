package session_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/services/miner/internal/coordinatortest"
	"github.com/aitbc/aitbc/services/miner/internal/session"
)

func hexOf(h aitbc.Hash) string { return hex.EncodeToString(h[:]) }

// awaitConnected waits until the miner knows that it is connected: the coordinator knows first.
func awaitConnected(t *testing.T, m *miner) {
	t.Helper()
	require.Eventually(t, func() bool { return m.session.Status().Connected }, time.Minute, time.Millisecond)
}

func TestAMinerProvesItsKeyAndSaysItsWholeState(t *testing.T) {
	s := onEngine(t)
	s.work.PriceFloor, s.work.Slots = 7, 3
	m := s.start(t)
	talk := s.coordinator.Session(t)
	require.Equal(t, s.self(), talk.Miner)
	state := talk.State(t, "a model", func(state *coordinatorv1.MinerState) bool { return len(state.GetModels()) > 0 })
	require.EqualValues(t, 3, state.GetSlots())
	require.EqualValues(t, 7, state.GetPriceFloorUaitbc())
	require.Regexp(t, `^ollama/\d`, state.GetEngine())
	require.NotEmpty(t, state.GetDevices())
	require.Equal(t, "cpu", state.GetDevices()[0].GetKind())
	awaitConnected(t, m)

	// Heartbeats: the same state again and again.
	talk.State(t, "no change", idle)
	talk.State(t, "no change", idle)
}

func TestTheProofIsBoundToTheTLSChannel(t *testing.T) {
	certificate, roots := selfSigned(t)
	s := onFake(t)
	s.coordinator = coordinatortest.Start(t, s.operator, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13})
	s.session.Dial, s.session.TLS, s.session.ForceTLS = s.coordinator.Dial, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, true
	s.start(t)
	require.Equal(t, s.self(), s.coordinator.Session(t).Miner)
}

func TestAMinerDoesNotTalkToWhomItShouldNot(t *testing.T) {
	cases := map[string]struct {
		spoil  func(*coordinatorv1.SessionChallenge)
		wish   func(*session.Config)
		reason string
	}{
		"an operator with another's key": {
			spoil: func(c *coordinatorv1.SessionChallenge) {
				c.OperatorId = coordinatortest.Account(coordinatortest.NewKey(t)).String()
			},
			reason: "the key is not that of",
		},
		"an operator without a key": {
			spoil:  func(c *coordinatorv1.SessionChallenge) { c.OperatorPublicKey = nil },
			reason: "incomplete",
		},
		"a challenge that is too short": {
			spoil:  func(c *coordinatorv1.SessionChallenge) { c.Challenge = c.Challenge[:31] },
			reason: "incomplete",
		},
		"another chain than the owner's": {
			wish: func(c *session.Config) { c.ChainID = "elsewhere" }, reason: "chain aitbc-test",
		},
		"an operator that the owner did not name": {
			wish: func(c *session.Config) { c.Operators = []aitbc.AccountID{{1}} }, reason: "not whom the owner wants",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := onFake(t)
			s.coordinator.Spoil = c.spoil
			if c.wish != nil {
				c.wish(&s.session)
			}
			m := s.start(t)
			require.Eventually(t, func() bool { return m.session.Status().LastError != "" }, time.Minute, time.Millisecond)
			require.Contains(t, m.session.Status().LastError, c.reason)
			require.False(t, m.session.Status().Connected)
		})
	}
}

func TestTheNextCoordinatorIsTriedWhenOneIsAway(t *testing.T) {
	s := onFake(t)
	away := coordinatortest.Start(t, s.operator, nil)
	away.Stop()
	dial := s.session.Dial
	s.session.Addresses = []string{"localhost:1", "localhost:2"}
	s.session.Dial = dialEach(map[string]dialer{"localhost:1": away.Dial, "localhost:2": dial})
	m := s.start(t)
	s.coordinator.Session(t)
	awaitConnected(t, m)
	require.Equal(t, "localhost:2", m.session.Status().Address)
}

func TestSessionsThatEndAtOnceAreNoSuccess(t *testing.T) {
	s := onFake(t)
	s.session.Backoff = session.Backoff{Min: time.Millisecond, Max: 10 * time.Second}
	s.start(t)
	began := time.Now()
	for range 10 {
		s.coordinator.Session(t).Drop()
	}
	s.coordinator.Session(t)
	require.Greater(t, time.Since(began), 500*time.Millisecond, "ten waits, each twice as long, half of it by chance")
}

func TestAnotherProcessWithTheSameKeyIsNamedAndGivenWay(t *testing.T) {
	s := onFake(t)
	s.session.Backoff = session.Backoff{Min: time.Millisecond, Max: 300 * time.Millisecond}
	m := s.start(t)
	talk := s.coordinator.Session(t)
	began := time.Now()
	talk.Replace()
	require.Eventually(t, func() bool { return m.session.Status().LastError != "" }, time.Minute, time.Millisecond)
	require.Contains(t, m.session.Status().LastError, "another process uses this miner's key")
	s.coordinator.Session(t)
	require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
}

func TestALeavingMinersLastStateArrives(t *testing.T) {
	s := onFake(t)
	m := s.start(t)
	talk := s.coordinator.Session(t)
	talk.State(t, "anything", idle)
	m.runner.Drain()
	m.stop() // right behind it
	talk.State(t, "a goodbye", func(state *coordinatorv1.MinerState) bool { return state.GetDraining() })
	<-talk.Ended()
}

func TestPlaintextLeavesTheMachineOnlyByTheOwnersWord(t *testing.T) {
	// The server speaks plaintext; the miner must not, off loopback.
	s := onFake(t)
	s.session.Addresses = []string{"192.0.2.1:18002"}
	s.session.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	m := s.start(t)
	require.Eventually(t, func() bool { return m.session.Status().LastError != "" }, time.Minute, time.Millisecond)
	require.Contains(t, m.session.Status().LastError, "handshake")
	m.stop()

	s.session.Insecure = true
	s.start(t)
	require.Equal(t, s.self(), s.coordinator.Session(t).Miner)
}

func TestConfigFaultsAreAllReported(t *testing.T) {
	err := session.Config{Addresses: []string{"nowhere"}, Insecure: true, ForceTLS: true}.Validate()
	for _, fault := range []string{"nowhere", "no key", "plaintext", "backoff", "handshake"} {
		require.ErrorContains(t, err, fault)
	}
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
