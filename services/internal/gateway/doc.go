// Package gateway serves a gRPC server's contracts as REST, and is strict where grpc-gateway is
// lenient: unknown JSON fields and query keys are refused by name, a path parameter repeated in the
// body must agree, a body has a size limit, only the headers that mean something are passed on, and
// every answer that is an error, wrong routes included, has one shape.
//
// A request passes: route (grpc-gateway's mux), strict (strict.go: query, body and headers are held
// to the contract and decoded once), the generated handler, the in-process connection with all of
// package rpc's stages, the handler. What strict refuses never reaches the stages, so it is logged
// and counted here.
//
// A server-streaming method is served as server-sent events (events.go), by way of the same connection
// and stages.
//
// The route table comes from the google.api.http annotations. In grpc-gateway the route registered
// last wins; Routes lets a test prove that none hides another.
//
// Start reading at New.
package gateway
