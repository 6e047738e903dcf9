package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
)

// proxy passes TCP connections on to a target, an address or a socket's path, until it is cut.
type proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

func newProxy(target string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	p := &proxy{listener: listener, target: target, conns: map[net.Conn]bool{}}
	go p.serve()
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.pass(conn)
	}
}

func (p *proxy) pass(near net.Conn) {
	network := "tcp"
	if filepath.IsAbs(p.target) {
		network = "unix"
	}
	far, err := net.Dial(network, p.target)
	if err != nil || !p.keep(near, far) {
		_ = near.Close() // an error means that it is closed
		if far != nil {
			_ = far.Close() // an error means that it is closed
		}
		return
	}
	defer p.drop(near, far)
	go func() {
		_, _ = io.Copy(far, near) // either end is closed by now
		p.drop(near, far)
	}()
	_, _ = io.Copy(near, far)
}

// keep notes two ends; false: the line is cut.
func (p *proxy) keep(near, far net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cut {
		p.conns[near], p.conns[far] = true, true
	}
	return !p.cut
}

func (p *proxy) drop(ends ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, end := range ends {
		_ = end.Close() // an error means that it is closed
		delete(p.conns, end)
	}
}

// sever cuts the line, now and for new connections; mend ends that.
func (p *proxy) sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for end := range p.conns {
		_ = end.Close() // an error means that it is closed
	}
}

func (p *proxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

func (p *proxy) close() {
	_ = p.listener.Close() // an error means that it is closed
	p.sever()
}
