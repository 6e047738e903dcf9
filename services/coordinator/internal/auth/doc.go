// Package auth decides who may call the coordinator, what, and how often.
//
// An API key is a random text of at least 128 bits. At rest there is only its SHA-256: a slow hash
// protects secrets that people choose, because those can be guessed; one of 128 random bits cannot,
// and a slow hash on every call would only be a way to overload us. Keys are never logged; a key's
// id, which says nothing about it, is.
//
// The rules in rule.go name every method with the scopes that may call it. A method without a rule
// is refused, and a test holds the rules against the registered methods. A key found in the store is
// remembered for a moment, so a key revoked through another replica or program is refused within
// Config.CacheFor, and one revoked in this process (Authorizer.Forget) at once.
//
// Start reading at Authorizer.
package auth
