package aitbc

// PlaintextBinding is the channel binding of a session without TLS, allowed on loopback or by an
// explicit flag only.
const PlaintextBinding = "plaintext"

// SessionChallenge is what a miner signs to open a session with a coordinator. It names the
// operator and the channel, so that a challenge relayed to or by somebody else is worthless.
type SessionChallenge struct {
	// ChainID is the ledger's chain id.
	ChainID string
	// Operator is the coordinator's operator.
	Operator AccountID
	// Miner is who connects.
	Miner AccountID
	// Challenge is the coordinator's 32 random bytes.
	Challenge [32]byte
	// ChannelBinding is the TLS exporter value (RFC 9266, tls-exporter) or [PlaintextBinding].
	ChannelBinding []byte
}

// SigningBytes gives the challenge's one encoding.
func (c SessionChallenge) SigningBytes() []byte {
	w := newWriter(tagSession)
	w.text(c.ChainID)
	w.fixed(c.Operator[:])
	w.fixed(c.Miner[:])
	w.fixed(c.Challenge[:])
	w.bytes(c.ChannelBinding)
	return w.signing()
}
