package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/aitbc/aitbc/services/coordinator/internal/job"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

// opaque ends the driver's errors here: what callers may tell apart stays, the rest is only text.
func opaque(err error) error {
	var fault *pgconn.PgError
	var connecting *pgconn.ConnectError
	if !errors.As(err, &fault) && !errors.As(err, &connecting) {
		return err
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, store.ErrNotFound, job.ErrExists, job.ErrMismatch} {
		if errors.Is(err, known) {
			return &driverError{err.Error(), known}
		}
	}
	return &driverError{text: err.Error()}
}

// driverError is a driver's error as text, with the one error in it that callers may know.
type driverError struct {
	text  string
	known error
}

// Error gives the text.
func (e *driverError) Error() string { return e.text }

// Unwrap gives the error that callers may know; nil: none.
func (e *driverError) Unwrap() error { return e.known }

// isViolation reports whether err says that a value or a row breaks a rule of its table: SQLSTATE
// classes 22 and 23.
func isViolation(err error) bool {
	var fault *pgconn.PgError
	return errors.As(err, &fault) && (strings.HasPrefix(fault.Code, "22") || strings.HasPrefix(fault.Code, "23"))
}

// isCollision reports whether err says that another transaction was in the way: serialization
// failure, deadlock.
func isCollision(err error) bool {
	var fault *pgconn.PgError
	return errors.As(err, &fault) && (fault.Code == "40001" || fault.Code == "40P01")
}

// isLost reports whether err says that the connection failed, or was ended by the server, rather
// than that a statement did.
func isLost(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var fault *pgconn.PgError
	if errors.As(err, &fault) {
		return fault.Severity == "FATAL" || fault.Severity == "PANIC" || strings.HasPrefix(fault.Code, "08")
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || pgconn.SafeToRetry(err)
}

// hasPoolSize reports whether a connection string sets the number of connections.
func hasPoolSize(connection string) bool {
	if u, err := url.Parse(connection); err == nil && u.Scheme != "" {
		return u.Query().Has("pool_max_conns")
	}
	return strings.Contains(connection, "pool_max_conns")
}
