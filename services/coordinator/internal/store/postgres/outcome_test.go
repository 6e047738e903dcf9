package postgres_test

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/tools/postgres/postgrestest"
)

// cutter stands between a store and its server and cuts a connection at a commit.
type cutter struct {
	listener net.Listener
	server   string

	mu sync.Mutex // guards what follows
	// armed is what to do with the next commit.
	armed cut
	conns []net.Conn
	wait  sync.WaitGroup
}

type cut int

const (
	no         cut = iota
	before         // the server does not hear of the commit
	afterwards     // the store does not hear that it was made
)

// startCutter gives the URL of the database at address through a cutter.
func startCutter(t *testing.T, address string) (*cutter, string) {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "aitbc-cut-") //nolint:usetesting // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	const socket = ".s.PGSQL.5432"
	c := &cutter{server: filepath.Join(u.Query().Get("host"), socket)}
	c.listener, err = new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, socket))
	require.NoError(t, err)
	c.wait.Go(c.accept)
	t.Cleanup(c.stop)
	return c, withParameter(t, address, "host", dir)
}

func (c *cutter) stop() {
	_ = c.listener.Close()
	c.mu.Lock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.wait.Wait()
}

func (c *cutter) arm(what cut) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = what
}

func (c *cutter) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		server, err := new(net.Dialer).DialContext(context.Background(), "unix", c.server)
		if err != nil {
			_ = client.Close()
			return
		}
		c.mu.Lock()
		c.conns = append(c.conns, client, server)
		c.mu.Unlock()
		deaf := make(chan struct{}) // closed when the client is to hear no more
		c.wait.Go(func() { c.forward(client, server, deaf) })
		c.wait.Go(func() { c.back(server, client, deaf) })
	}
}

// forward sends what the store says, up to a commit that is to be cut.
func (c *cutter) forward(client, server net.Conn, deaf chan<- struct{}) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		what := no
		if bytes.Contains(buffer[:n], []byte("commit\x00")) {
			c.mu.Lock()
			what, c.armed = c.armed, no
			c.mu.Unlock()
		}
		if what == afterwards {
			close(deaf)
		}
		if what != before {
			_, _ = server.Write(buffer[:n])
		}
		if err != nil || what == before {
			_, _ = client.Close(), server.Close()
			return
		}
	}
}

// back sends what the server says; the first word that the client is not to hear ends both.
func (c *cutter) back(server, client net.Conn, deaf <-chan struct{}) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := server.Read(buffer)
		select {
		case <-deaf:
			_, _ = client.Close(), server.Close()
			return
		default:
		}
		_, _ = client.Write(buffer[:n])
		if err != nil {
			_, _ = client.Close(), server.Close()
			return
		}
	}
}

func TestACommitWhoseAnswerIsLostCountsAsWhatItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cut  cut
		runs int
	}{
		"it was made":     {afterwards, 1},
		"it was not made": {before, 2}, // and so it is made again
	} {
		t.Run(name, func(t *testing.T) {
			address := postgrestest.Start(t)
			between, through := startCutter(t, address)
			st := openStore(t, through)
			require.NoError(t, st.Update(t.Context(), insert(victimJob(1, 1))))

			between.arm(c.cut)
			runs := 0
			require.NoError(t, st.Update(t.Context(), func(tx store.Tx) error {
				runs++
				return insert(victimJob(1, 2))(tx)
			}))

			require.Equal(t, c.runs, runs)
			requireKept(t, st, map[string]bool{victimJob(1, 1).ID.String(): true, victimJob(1, 2).ID.String(): true})
			require.NoError(t, step(t, st, victimJob(1, 2).ID, escrowed))
			live, err := st.Live(t.Context(), aitbc.JobID{}, 9)
			require.NoError(t, err)
			require.Len(t, live, 2)
		})
	}
}
