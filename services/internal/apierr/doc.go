// Package apierr is the one place where a failure becomes an answer.
//
// Every error that leaves a server is a google.rpc.Status with exactly one google.rpc.ErrorInfo: its
// reason is a coordinatorv1.ErrorReason without prefix, its domain is "aitbc". The table in table.go
// gives each reason its gRPC code, its HTTP status, whether coming back may help and what the caller
// should do; docs/errors.md is generated from it (go run ./services/internal/apierr/gen).
//
// Handlers return *Error, or any error whose chain holds a Reasoner: a domain package thereby names
// its reason without importing gRPC. Everything else is a fault of ours: its text goes to the log,
// the caller gets a fixed text and the request id that the log line has too.
//
// Start reading at From in classify.go.
package apierr
