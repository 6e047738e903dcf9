// Package custody makes API keys and, for clients that bring no account of their own, the accounts
// behind them: a custodial account's key is held here, sealed, and every escrow of its tokens goes
// by the same allowance that other clients grant by themselves. So spending has one path.
//
// Invariants: a sealed key is durable before any token is sent to its account; it opens only with
// the key file and only for the account it was sealed for; a secret is returned once and kept
// nowhere. Start with Vault (sealing) and Issuer (what `keys create` does).
package custody
