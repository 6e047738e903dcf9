package miner

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/internal/rpc"
	"github.com/aitbc/aitbc/services/miner/internal/api"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

// FlagListen is the flag that chooses where the owner's port is.
const FlagListen = "listen"

// Config is a miner's configuration.
type Config struct {
	// StateDir is the folder for spool and key. Required; no two miners may share it.
	StateDir string
	// KeyFile is the miner's ledger key, made at the first start. Empty: miner.key in StateDir.
	KeyFile string

	// Coordinators are the coordinators' gRPC addresses, host:port, tried in turn. At least one.
	Coordinators []string
	// ChainID is the one ledger to work for; empty: whichever the coordinator names.
	ChainID string
	// Operators are the accounts to work for; empty: any.
	Operators []string
	// Ledger is the gRPC address of a node of the ledger at which the miner claims what an operator
	// accepted and does not settle, and at which it registers and bonds its stake at the start; empty:
	// that has been done. Off loopback, or as grpcs://, it is called with TLS, as grpc:// without.
	Ledger string
	// Stake is what the stake shall be at least; 0: the least that gets work.
	Stake aitbc.Amount
	// Name is what the miner calls itself on the ledger, at most 64 bytes; it may be empty.
	Name string
	// TLS wants TLS on loopback too; off loopback it is always used, unless Insecure.
	TLS bool
	// TLSCA is a PEM file with the authorities to trust instead of the system's, for coordinators and
	// ledger; it implies TLS to coordinators.
	TLSCA string
	// Insecure allows plaintext to coordinators, and the owner's port, off loopback.
	Insecure bool

	// EngineURL is the Ollama server.
	EngineURL string
	// Slots is how many leases run at once; more than the engine can do in parallel only makes each
	// slower. 0: of each model what [Benchmark] found and [Measured.Keep] kept, else 1.
	Slots int
	// Models are the models to offer; empty: all that the engine has.
	Models []string
	// Pull are models, among Models when there are any, that the engine is to fetch from their registry
	// when it lacks them.
	Pull []string
	// Pullable are models, among Models when there are any, that the engine may fetch when a coordinator asks
	// because a job needs them and no miner has them. Empty: none.
	Pullable []string
	// MemoryReserve is what the owner keeps, in bytes, of the memory that models run in: the GPUs' together,
	// without them the system's. A model that does not fit beside it is not offered. 0: nothing.
	MemoryReserve int64
	// PriceFloorUaitbc is the least price of a compute second, in uaitbc; 0: any.
	PriceFloorUaitbc int64

	// Listen is the owner's port: gRPC, REST, /healthz, /metrics. Port 0 is any free one.
	Listen string
	// FlagPrefix stands before the flag that an error about a taken port names; empty but in a
	// program that has other services' flags too.
	FlagPrefix string
	// OwnerKeyHashes are the SHA-256 of the keys that may assign jobs, in hex ([HashKey]); empty:
	// nobody may.
	OwnerKeyHashes []string

	// ClaimTimeout is how long an assignment waits for the coordinator's answer.
	ClaimTimeout time.Duration
	// DrainTimeout is how long running leases may take when the miner leaves.
	DrainTimeout time.Duration
	// RefreshInterval is how often the engine's models and the devices are looked at.
	RefreshInterval time.Duration
	// HandshakeTimeout bounds the time from dialling to the coordinator's welcome.
	HandshakeTimeout time.Duration
	// BackoffMin and BackoffMax bound the wait between attempts to connect; it doubles each time,
	// and up to a half of it is random.
	BackoffMin, BackoffMax time.Duration
	// KeepAccepted and KeepEvidence are how many records of accepted and of revoked results are
	// kept after their jobs' settlement deadlines.
	KeepAccepted, KeepEvidence int
	// Software is what the miner calls itself to coordinators, for logs.
	Software string
}

// DefaultConfig gives the default of every field but StateDir.
func DefaultConfig() Config {
	return Config{
		Coordinators:     []string{"127.0.0.1:18002"},
		EngineURL:        "http://127.0.0.1:11434",
		Listen:           "127.0.0.1:18001",
		ClaimTimeout:     10 * time.Second,
		DrainTimeout:     time.Minute,
		RefreshInterval:  5 * time.Second,
		HandshakeTimeout: 10 * time.Second,
		BackoffMin:       200 * time.Millisecond,
		BackoffMax:       15 * time.Second,
		KeepAccepted:     10_000,
		KeepEvidence:     1_000,
		Software:         "aitbcd",
	}
}

// maxSlots bounds what is certainly a mistake.
const maxSlots = attempt.MaxSlots

// HashKey gives the hash of an owner's key for OwnerKeyHashes.
func HashKey(key string) string { return api.HashKey(key) }

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	faults := []error{c.validateCoordinators(), c.validateEngine(), c.validateListen(), c.validateEnrolment()}
	if c.StateDir == "" {
		faults = append(faults, errors.New("state-dir is empty"))
	}
	times := []struct {
		name  string
		value time.Duration
	}{
		{"claim-timeout", c.ClaimTimeout},
		{"drain-timeout", c.DrainTimeout},
		{"refresh-interval", c.RefreshInterval},
		{"handshake-timeout", c.HandshakeTimeout},
		{"backoff-min", c.BackoffMin},
	}
	for _, t := range times {
		if t.value <= 0 {
			faults = append(faults, fmt.Errorf("%s is %s, want more than 0", t.name, t.value))
		}
	}
	if c.BackoffMax < c.BackoffMin {
		faults = append(faults, fmt.Errorf("backoff-max %s is below backoff-min %s", c.BackoffMax, c.BackoffMin))
	}
	if c.KeepAccepted < 0 || c.KeepEvidence < 0 {
		faults = append(faults, errors.New("keep-accepted and keep-evidence cannot be negative"))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("miner configuration: %w", err)
	}
	return nil
}

func (c Config) validateCoordinators() error {
	var faults []error
	if len(c.Coordinators) == 0 {
		faults = append(faults, errors.New("coordinators is empty"))
	}
	for _, address := range c.Coordinators {
		if _, _, err := net.SplitHostPort(address); err != nil {
			faults = append(faults, fmt.Errorf("coordinators: %w", err))
		}
	}
	for _, id := range c.Operators {
		if _, err := aitbc.ParseAccountID(id); err != nil {
			faults = append(faults, fmt.Errorf("operators: %w", err))
		}
	}
	if c.Insecure && (c.TLS || c.TLSCA != "") {
		faults = append(faults, errors.New("insecure contradicts tls and tls-ca"))
	}
	return errors.Join(faults...)
}

func (c Config) validateEngine() error {
	var faults []error
	base, err := url.Parse(c.EngineURL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		faults = append(faults, fmt.Errorf("ollama-url %q is no http URL", c.EngineURL))
	}
	if c.Slots < 0 || c.Slots > maxSlots {
		faults = append(faults, fmt.Errorf("slots is %d, want 1 to %d, or 0 for what was measured", c.Slots, maxSlots))
	}
	faults = append(faults, c.validatePulls("pull", c.Pull), c.validatePulls("pullable", c.Pullable))
	if len(c.Pullable) > maxPullable {
		faults = append(faults, fmt.Errorf("pullable has %d models, at most %d", len(c.Pullable), maxPullable))
	}
	if c.MemoryReserve < 0 {
		faults = append(faults, errors.New("memory-reserve cannot be negative"))
	}
	if c.PriceFloorUaitbc < 0 {
		faults = append(faults, errors.New("price-floor cannot be negative"))
	}
	return errors.Join(faults...)
}

// maxPullable is how many models a coordinator takes in.
const maxPullable = 1000

func (c Config) validatePulls(setting string, names []string) error {
	var faults []error
	for _, name := range names {
		switch {
		case name == "" || strings.Contains(name, "://"):
			faults = append(faults, fmt.Errorf("%s %q is no model's name: give one as `ollama list` shows it, without https://", setting, name))
		case len(c.Models) > 0 && !slices.Contains(executor.FullNames(c.Models), executor.FullName(name)):
			faults = append(faults, fmt.Errorf("%s %s is not among models, so it would never be offered: add it there too", setting, name))
		}
	}
	return errors.Join(faults...)
}

func (c Config) validateListen() error {
	var faults []error
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		faults = append(faults, fmt.Errorf("%s: %w", FlagListen, err))
	} else if !c.Insecure && !rpc.IsLoopback(c.Listen) {
		faults = append(faults, fmt.Errorf("%s %s is not loopback: the owner's port has no TLS, put a proxy before it or give --insecure", FlagListen, c.Listen))
	}
	for _, hash := range c.OwnerKeyHashes {
		if _, err := api.ParseKeyHash(hash); err != nil {
			faults = append(faults, fmt.Errorf("owner-key-hashes: %w", err))
		}
	}
	return errors.Join(faults...)
}

func (c Config) keyFile() string {
	if c.KeyFile != "" {
		return c.KeyFile
	}
	return filepath.Join(c.StateDir, "miner.key")
}
