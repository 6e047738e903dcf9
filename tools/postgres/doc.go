// Package postgres provides throw-away Postgres servers to the tests and benchmarks of this
// project.
//
// Start makes a cluster in a temporary folder and runs a server on it, with the binaries that it
// finds (Find) or, as root on Debian, installs. What holds for such a server: it listens on a Unix
// socket in its own folder only, so no two ever meet; fsync is on, because durability is what is
// tested; it never runs as root, which Postgres refuses, but as another existing user then; and
// neither it nor its folder outlives Stop. On Linux the server ends with the process that started
// it, however that ends.
//
// Start reading at Start (server.go). Tests get a database from the package postgrestest.
package postgres
