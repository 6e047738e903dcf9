package coordinator

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/dispatch"
	"github.com/aitbc/aitbc/services/internal/rpc"
)

// The flags that choose where the service listens; errors about a taken port name them.
const (
	FlagRESTListen    = "rest-listen"
	FlagGRPCListen    = "grpc-listen"
	FlagMetricsListen = "metrics-listen"
)

// Config is a coordinator's configuration.
type Config struct {
	// StateDir is the folder for keys and the embedded store. Required.
	StateDir string
	// Store is where jobs are kept: sqlite, a file in StateDir, for one replica; or the postgres://
	// URL of a database. Empty: sqlite.
	Store string
	// OperatorKey is the operator's ledger key. Empty: keys/operator.key in StateDir.
	OperatorKey string

	// RESTListen is the REST gateway's address. Port 0 is any free one, here and below.
	RESTListen string
	// GRPCListen is the gRPC address, for clients and miners.
	GRPCListen string
	// MetricsListen is the address of /metrics; empty: not served.
	MetricsListen string
	// Advertise is where other replicas reach GRPCListen, host and port. Empty: where it listens.
	Advertise string
	// TLSCert and TLSKey are PEM files; they are required off loopback, unless Insecure.
	TLSCert, TLSKey string
	// Insecure allows plaintext off loopback.
	Insecure bool

	// Ledger is where jobs are paid: LedgerCometBFT, or LedgerNone for a private fleet, in which
	// nothing is paid. Empty: LedgerCometBFT.
	Ledger string
	// LedgerURLs are the CometBFT JSON-RPC addresses of ledger nodes: one is called until it fails or
	// makes no blocks, then the next. Not used when Deps has a client.
	LedgerURLs []string
	// ChainID is the chain it must be; empty: whichever is met.
	ChainID string

	// QueueTimeout, ExecutionLimit and TotalTimeout are a job's when the client sets none.
	QueueTimeout, ExecutionLimit, TotalTimeout time.Duration
	// MaxAttempts is how often a job is handed to a miner at most.
	MaxAttempts uint32

	// MaxJobs and MaxTokens bound a client's live jobs and what tokens they may come to, MaxSpend
	// what may go into its jobs in a day (UTC) at all replicas together, in uaitbc; 0: no bound.
	MaxJobs   int
	MaxTokens int64
	MaxSpend  int64
	// MaxQueue is how many jobs may be undone, of all clients; 0: any number.
	MaxQueue int
	// MaxSubmitting is how many submissions are worked on at once.
	MaxSubmitting int

	// Retention is how long prompts and results are kept after a job's end. 0: for good.
	Retention time.Duration

	// RateLimit is how many calls per second a key may make, and RateBurst how many at once;
	// a rate of 0: no limit.
	RateLimit float64
	RateBurst int
}

// DefaultConfig gives the default of every field but StateDir.
func DefaultConfig() Config {
	jobs, limit := dispatch.DefaultConfig(""), auth.DefaultLimitConfig()
	return Config{
		Store:          StoreSQLite,
		RESTListen:     "127.0.0.1:18000",
		GRPCListen:     "127.0.0.1:18002",
		MetricsListen:  "127.0.0.1:9090",
		Ledger:         LedgerCometBFT,
		LedgerURLs:     []string{"http://127.0.0.1:26657"},
		QueueTimeout:   jobs.QueueTimeout,
		ExecutionLimit: jobs.ExecutionLimit,
		TotalTimeout:   jobs.TotalTimeout,
		MaxAttempts:    jobs.MaxAttempts,
		MaxJobs:        jobs.Quotas.Jobs,
		MaxQueue:       jobs.MaxQueue,
		MaxSubmitting:  jobs.MaxSubmitting,
		RateLimit:      limit.PerSecond,
		RateBurst:      limit.Burst,
	}
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var faults []error
	if c.StateDir == "" {
		faults = append(faults, errors.New("the state folder is empty"))
	}
	for flag, addr := range map[string]string{FlagRESTListen: c.RESTListen, FlagGRPCListen: c.GRPCListen, FlagMetricsListen: c.MetricsListen} {
		if addr == "" && flag == FlagMetricsListen {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", flag, err))
		}
	}
	if _, _, err := net.SplitHostPort(c.Advertise); c.Advertise != "" && err != nil {
		faults = append(faults, fmt.Errorf("advertise: want host:port: %w", err))
	}
	if c.TLSCert == "" && c.TLSKey == "" && !c.Insecure && (!rpc.IsLoopback(c.RESTListen) || !rpc.IsLoopback(c.GRPCListen)) {
		faults = append(faults, errors.New("off loopback give tls-cert and tls-key, or insecure"))
	}
	if c.Ledger != "" && c.Ledger != LedgerCometBFT && c.Ledger != LedgerNone {
		faults = append(faults, fmt.Errorf("ledger %q: want %s or %s", c.Ledger, LedgerCometBFT, LedgerNone))
	}
	faults = append(faults, c.validateStore(), c.validateRetention(), c.dispatch("any").Validate(), c.limit().Validate())
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("coordinator configuration: %w", err)
	}
	return nil
}

func (c Config) dispatch(chainID string) dispatch.Config {
	d := dispatch.DefaultConfig(chainID)
	d.QueueTimeout, d.ExecutionLimit, d.TotalTimeout, d.MaxAttempts = c.QueueTimeout, c.ExecutionLimit, c.TotalTimeout, c.MaxAttempts
	d.Quotas = dispatch.Quotas{Jobs: c.MaxJobs, Tokens: c.MaxTokens, SpendPerDay: aitbc.Amount(c.MaxSpend)}
	d.MaxQueue, d.MaxSubmitting = c.MaxQueue, c.MaxSubmitting
	return d
}

func (c Config) limit() auth.LimitConfig {
	l := auth.DefaultLimitConfig()
	l.PerSecond, l.Burst = c.RateLimit, c.RateBurst
	return l
}

func (c Config) operatorKey() string {
	if c.OperatorKey != "" {
		return c.OperatorKey
	}
	return filepath.Join(c.StateDir, "keys", "operator.key")
}

func (c Config) security() rpc.Security {
	return rpc.Security{CertFile: c.TLSCert, KeyFile: c.TLSKey, Insecure: c.Insecure}
}
