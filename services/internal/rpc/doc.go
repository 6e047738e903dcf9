// Package rpc builds the gRPC servers of all services, so that they behave alike at the door.
//
// Every call, unary or stream, passes the same stages in the same order, built in stages.go:
//
//	recovery, request id, metrics, access log, error mapping, auth, rate limit, validation, handler
//
// Ahead of them a unary call gets its deadline.
//
// Auth refuses by default: a server without an Authorizer answers no method. REST gateways reach the
// server through Conn, within the process, so no call gets around the stages. Message sizes,
// keepalive and idle times are bounded in server.go.
//
// Start reading at NewServer.
package rpc
