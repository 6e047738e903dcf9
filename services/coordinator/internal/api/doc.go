// Package api is the coordinator's contract over gRPC: it turns requests into what the domain
// understands and the domain's values into answers, and decides nothing.
//
// What is checked where: sizes, ranges and patterns by the contract's own rules, before a handler
// runs; whose key it is by package auth; states by package job. Here: ids, amounts and page tokens
// are parsed, and what belongs to another account is "not found", so that nobody learns which ids
// exist.
//
// Errors of the domain pass through as they are: package apierr maps them.
//
// Start reading at Deps, then job.go.
package api
