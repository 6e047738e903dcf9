// Package aitbctest is a coordinator in memory for the tests of programs that use package aitbc.
//
// It speaks the contract over REST and gRPC, and as much of OpenAI's API as programs that use that need in
// their tests (chats, completions, embeddings, models), on loopback ports of its own, answers jobs with a
// function of yours, and makes receipts whose evidence is really signed. There is no ledger, no
// miner and no engine, and nothing happens by itself: each read of a job moves it one step on,
// from pending over running to its end.
//
// Start with [Start]; [Server.URL] and [Server.Target] are what aitbc.New wants.
package aitbctest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// APIKey is the key that the server accepts, AdminKey the one that it wants for calls about keys. The keys
// that are made are only listed: no call takes them.
const (
	APIKey   = "client_dev_key_1"
	AdminKey = "admin_dev_key_1"
)

// Config says how the server behaves.
type Config struct {
	// Answer runs a job when it is submitted, one at a time. Default: the seed document's question is answered
	// as there, in 12.5 s of compute time and 17 s in all.
	//
	// An error of type *aitbc.Error refuses the submission, with its reason, fields and
	// RetryAfter; one of type *aitbc.JobError fails the job; any other is INTERNAL.
	Answer func(ctx context.Context, req aitbc.SubmitRequest) (Answer, error)
	// Balance is what the one account has. Default 100aitbc.
	Balance aitbc.Amount
	// CutAfter cuts each stream of a job's events after so many, so that its reader has to resume.
	// Zero: never.
	CutAfter int
}

// Answer is what became of a job.
type Answer struct {
	// Text is the result.
	Text string
	// ComputeTime is what the miner measured; the job is billed by it.
	ComputeTime time.Duration
	// TotalTime is how long after its submission the job says to have ended.
	TotalTime time.Duration
}

// SeedAnswer answers every question as the seed document does, a chat with that as the assistant's
// message, and texts with as many vectors.
func SeedAnswer(_ context.Context, req aitbc.SubmitRequest) (Answer, error) {
	text := "Machine learning is a subset of artificial intelligence..."
	switch req.Type() {
	case aitbc.TypeChat:
		text = `{"role":"assistant","content":"` + text + `"}`
	case aitbc.TypeEmbedding:
		text = "[" + strings.TrimSuffix(strings.Repeat("[0.5,-0.25],", len(req.Input)), ",") + "]"
	}
	return Answer{Text: text, ComputeTime: 12500 * time.Millisecond, TotalTime: 17 * time.Second}, nil
}

// Server is a running coordinator in memory.
type Server struct {
	rest     *httptest.Server
	grpc     *grpc.Server
	conn     *grpc.ClientConn
	listener net.Listener
	served   chan error // one value, when the gRPC server has ended
	book     *book
}

// Start starts a server on free loopback ports. Close it.
func Start(cfg Config) (*Server, error) {
	if cfg.Answer == nil {
		cfg.Answer = SeedAnswer
	}
	if cfg.Balance == 0 {
		cfg.Balance = 100 * aitbc.UnitsPerCoin
	}
	parties, err := newParties()
	if err != nil {
		return nil, fmt.Errorf("start test server: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start test server: %w", err)
	}
	s := &Server{listener: listener, served: make(chan error, 1)}
	book := &book{cfg: cfg, parties: parties, jobs: map[string]*entry{}, requests: map[string]string{}}
	s.book = book
	s.grpc = grpc.NewServer(grpc.UnaryInterceptor(intercept), grpc.StreamInterceptor(interceptStream))
	coordinatorv1.RegisterJobServiceServer(s.grpc, jobService{book: book})
	coordinatorv1.RegisterReceiptServiceServer(s.grpc, receiptService{book: book})
	coordinatorv1.RegisterNetworkServiceServer(s.grpc, networkService{book: book})
	coordinatorv1.RegisterKeyServiceServer(s.grpc, keyService{book: book})
	coordinatorv1.RegisterFaucetServiceServer(s.grpc, faucetService{})
	go func() { s.served <- s.grpc.Serve(listener) }()

	s.conn, err = grpc.NewClient(s.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		var mux http.Handler
		if mux, err = newGateway(s.conn); err == nil {
			s.rest = httptest.NewServer(newOpenAI(mux, s.conn))
			return s, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("start test server: %w", err), s.Close())
}

// URL is the REST address.
func (s *Server) URL() string { return s.rest.URL }

// Target is the gRPC address.
func (s *Server) Target() string { return s.listener.Addr().String() }

// AccountKey is the key of the one account, for orders of its own.
func (s *Server) AccountKey() ed25519.PrivateKey { return s.book.parties.client.private }

// Close ends the server and waits for its end.
func (s *Server) Close() error {
	if s.rest != nil {
		s.rest.Close()
	}
	var err error
	if s.conn != nil {
		err = s.conn.Close()
	}
	s.grpc.Stop()
	return errors.Join(err, <-s.served)
}
