package session

import (
	"errors"
	"fmt"
	"time"
)

// Config sets the pace of sessions. Begin with DefaultConfig.
type Config struct {
	// Heartbeat is how often a miner must send its state; three times this without a frame ends
	// its session.
	Heartbeat time.Duration
	// Handshake is how long a miner may take to be welcomed.
	Handshake time.Duration
	// Handshakes is how many miners may be on their way to being welcomed at once, and
	// HandshakesPerPeer how many of them from one address (of IPv6: one /64). From 1.
	Handshakes        int
	HandshakesPerPeer int
	// SendQueue is how many frames may wait for a miner that does not read; one more ends its
	// session.
	SendQueue int
	// InFlight is how many frames of one miner are worked on at once; the next ones wait unread.
	InFlight int
	// StakeInterval is how often a miner's stake is looked up while its session lasts.
	StakeInterval time.Duration
	// FrameTimeout bounds the work on one frame. It is longer than a commit may take.
	FrameTimeout time.Duration
}

// DefaultConfig gives the defaults.
func DefaultConfig() Config {
	return Config{
		Heartbeat:         10 * time.Second,
		Handshake:         10 * time.Second,
		Handshakes:        1024,
		HandshakesPerPeer: 256,
		SendQueue:         1024,
		InFlight:          64,
		StakeInterval:     30 * time.Second,
		FrameTimeout:      45 * time.Second,
	}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if min(c.Heartbeat, c.Handshake, c.StakeInterval, c.FrameTimeout) <= 0 {
		faults = append(faults, fmt.Errorf("session heartbeat %s, handshake %s, stake interval %s, frame timeout %s: want more than 0",
			c.Heartbeat, c.Handshake, c.StakeInterval, c.FrameTimeout))
	}
	if c.SendQueue < 1 || c.InFlight < 1 {
		faults = append(faults, fmt.Errorf("session send queue %d, in flight %d: want at least 1", c.SendQueue, c.InFlight))
	}
	if c.Handshakes < 1 || c.HandshakesPerPeer < 1 {
		faults = append(faults, fmt.Errorf("session handshakes %d, per peer %d: want at least 1", c.Handshakes, c.HandshakesPerPeer))
	}
	return errors.Join(faults...)
}

// missedBeats is how many heartbeats may be missed.
const missedBeats = 3
