// Package session is the miner's end of the stream to a coordinator: it dials out, proves the
// miner's key, says what is so and takes in what should be.
//
//	           dial          hello            challenge, signed        welcome
//	waiting ---------> dialed -------> greeted ---------------> proving --------> talking
//	   ^   backoff, next address                                                     |
//	   +-----------------------------------------------------------------------------+
//	                      any error or silence, from any state
//
// Invariants:
//   - one session at a time; losing it is the ordinary case, and nothing of importance lives in it:
//     after the next welcome everything that the coordinator may not know is said again;
//   - one goroutine sends, one receives, and both have ended before the next session begins;
//   - the key signs a challenge only together with the operator it is for and the channel it came
//     over, so that relaying it is useless; over plaintext only on loopback or by the owner's word;
//   - what the operator says is checked with the key that its address is made of.
//
// docs/protocol.md has both ends. Start at [Session.Run].
package session
