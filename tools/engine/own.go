package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ollama/ollama/api"
)

// listenLimit is how long a server may take from its start to listening. It
// looks for GPUs first: 0.3 s on an idle machine, seconds on a busy one.
const listenLimit = 90 * time.Second

// startOwn starts the binary and waits until it listens.
func startOwn(ctx context.Context, binary string, o Options) (*Engine, error) {
	if err := probeAddress(ctx, o.Addr); err != nil {
		return nil, err
	}
	dir, cleanup := o.Dir, func() error { return nil }
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "aitbc-engine-"); err != nil {
			return nil, fmt.Errorf("make the engine's folder: %w", err)
		}
		cleanup = func() error { return os.RemoveAll(dir) }
	}
	e := &Engine{cleanup: cleanup}
	if err := e.launch(ctx, binary, dir, o); err != nil {
		return nil, errors.Join(err, e.Kill())
	}
	return e, nil
}

func (e *Engine) launch(ctx context.Context, binary, dir string, o Options) error {
	home := filepath.Join(dir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return fmt.Errorf("make the engine's home: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "ollama.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the engine's log: %w", err)
	}
	removeDir := e.cleanup
	e.cleanup = func() error { return errors.Join(file.Close(), removeDir()) }
	e.log = newLogTail(file)

	cmd := exec.Command(binary, "serve")
	cmd.Env = append(environment(os.Environ()),
		"HOME="+home, // it makes a key pair there
		"OLLAMA_MODELS="+filepath.Join(dir, "models"),
		"OLLAMA_HOST="+o.Addr,
		"OLLAMA_NO_CLOUD=1",
		"OLLAMA_KEEP_ALIVE=-1",
		"GIN_MODE=release")
	cmd.Env = append(cmd.Env, o.Env...)
	cmd.Stdout, cmd.Stderr = e.log, e.log
	if e.proc, err = startProcess(cmd); err != nil {
		return err
	}
	return progress{o.Progress}.during("waiting for Ollama to listen", func() error { return e.awaitListening(ctx) })
}

// awaitListening learns from the log which port the server got.
func (e *Engine) awaitListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listenLimit)
	defer cancel()
	select {
	case addr := <-e.log.listening:
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return fmt.Errorf("read the engine's address: %w", err)
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		base := &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}
		e.url, e.client = base.String(), api.NewClient(base, &http.Client{})
		return nil
	case <-e.proc.exited:
		return fmt.Errorf("the server ended before it listened; its log ends: %s", e.log.last(1000))
	case <-ctx.Done():
		return fmt.Errorf("wait for the server to listen: %w; its log ends: %s", context.Cause(ctx), e.log.last(1000))
	}
}

// environment drops the owner's Ollama settings: an engine of our own must be
// the same on every machine, and must not see the owner's models.
func environment(from []string) []string {
	var kept []string
	for _, kv := range from {
		if name, _, _ := strings.Cut(kv, "="); name != "HOME" && !strings.HasPrefix(name, "OLLAMA_") {
			kept = append(kept, kv)
		}
	}
	return kept
}

// probeAddress names a taken port before the server fails on it. The server
// would notice too, but say it in its log only.
func probeAddress(ctx context.Context, addr string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: %s", ErrAddressTaken, addr)
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	if err := l.Close(); err != nil {
		return fmt.Errorf("close the probe of %s: %w", addr, err)
	}
	return nil
}
