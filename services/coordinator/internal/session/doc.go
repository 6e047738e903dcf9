// Package session is the coordinator's end of a miner's stream: SessionService.Connect.
//
//	hello --> challenge --> authentication --> welcome --> state, starts, results ... --> end
//	                  \_ refused: INVALID_KEY          \_ silence, replaced, stopping, slow
//
// Who is authoritative: package dispatch. A session only translates: what the miner says becomes a
// call there, what comes from there becomes a frame; nothing of importance lives here, so a session
// may end at any moment and the next one begins with the miner's whole state.
//
// Invariants: a miner is whose ledger key signed this challenge for this operator over this channel;
// a miner has one session, the newest; streams whose miner has not proven its key are bounded in
// number and time; sending never blocks dispatch (a miner that does not read loses its session); a
// result is answered only after it is durable; every goroutine has ended when Service.Wait returns.
//
// Start with Service.Connect in service.go, then handshake.go and talk.go.
package session
