// Package obs holds what all servers share to be observed: the logger, the names of log attributes,
// the request id and the log line of a call, the metrics registry and its HTTP server.
//
// Nothing here is global: a process that runs several services gives each its own logger and
// registers each one's metrics under a label of its own. Keys, prompts and results are never logged.
//
// Start reading at NewLogger in log.go and NewRegistry in metrics.go.
package obs
