package miner

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/internal/rpc"
	"github.com/aitbc/aitbc/services/miner/internal/attempt"
	"github.com/aitbc/aitbc/services/miner/internal/device"
	"github.com/aitbc/aitbc/services/miner/internal/enrol"
	"github.com/aitbc/aitbc/services/miner/internal/executor"
)

// checkLimit bounds each look at something outside.
const checkLimit = 10 * time.Second

// Check is one thing that a miner needs.
type Check struct {
	// Name says what was looked at.
	Name string
	// OK says that it is as it should be, Detail what was seen.
	OK     bool
	Detail string
	// Remedy says what to do when it is not.
	Remedy string
}

// Diagnose looks at everything that a miner with this configuration needs, from its key to its
// coordinators. It changes nothing.
func Diagnose(ctx context.Context, cfg Config) []Check {
	if err := cfg.Validate(); err != nil {
		return []Check{{Name: "configuration", Detail: err.Error(), Remedy: "correct the settings that are named"}}
	}
	checks := []Check{checkState(cfg.StateDir)}
	key, check := checkKey(cfg.keyFile())
	checks = append(checks, check)
	checks = append(checks, checkEngine(ctx, cfg)...)
	checks = append(checks, checkDevices(ctx))
	if cfg.Ledger != "" {
		checks = append(checks, checkLedger(ctx, cfg, key))
	}
	for _, address := range cfg.Coordinators {
		checks = append(checks, checkCoordinator(ctx, cfg, address))
	}
	return checks
}

func checkState(folder string) Check {
	c := Check{Name: "state folder", Detail: folder, Remedy: "make it writable for this user, or choose another with --state"}
	err := os.MkdirAll(folder, 0o700)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(folder, ".doctor-*"); err == nil {
			err = errors.Join(probe.Close(), os.Remove(probe.Name()))
		}
	}
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	c.OK = true
	return c
}

// checkKey also gives the key; nil: there is none yet, or it cannot be read.
func checkKey(path string) (ed25519.PrivateKey, Check) {
	c := Check{Name: "key"}
	key, err := aitbc.LoadKey(path)
	switch {
	case err == nil:
		c.OK, c.Detail = true, fmt.Sprintf("miner %s (%s)", aitbc.AccountOf(key.Public().(ed25519.PublicKey)), path)
	case errors.Is(err, fs.ErrNotExist):
		c.OK, c.Detail = true, path+" is made at the first start"
	default:
		c.Detail, c.Remedy = err.Error(), "restore the key from your copy; a new key is a new miner, without stake and earnings"
	}
	return key, c
}

func checkEngine(ctx context.Context, cfg Config) []Check {
	base, err := url.Parse(cfg.EngineURL)
	if err != nil {
		return nil // Validate has said so
	}
	engine := executor.New(base)
	defer engine.Close()
	c := Check{Name: "engine", Remedy: "start Ollama (`ollama serve`), or say where it is with --ollama-url"}
	version, err := engine.Version(ctx)
	if err != nil {
		c.Detail = err.Error()
		return []Check{c}
	}
	c.OK, c.Detail = true, attempt.EngineName(version)+" at "+cfg.EngineURL
	models, err := engine.Models(ctx)
	if err != nil {
		return []Check{c, {Name: "models", Detail: err.Error(), Remedy: "see Ollama's own log"}}
	}
	checks := []Check{c, checkModels(models, cfg)}
	offered := slices.DeleteFunc(models, func(m executor.Model) bool {
		return len(cfg.Models) > 0 && !slices.Contains(executor.FullNames(cfg.Models), m.Name)
	})
	if cfg.MemoryReserve > 0 {
		devices, _ := device.New().List(ctx) // checkDevices tells the error
		var check Check
		offered, check = checkMemory(offered, devices, cfg.MemoryReserve)
		checks = append(checks, check)
	}
	return append(checks, checkSlots(cfg, attempt.EngineName(version), offered))
}

func checkModels(models []executor.Model, cfg Config) Check {
	c := Check{Name: "models"}
	var names, missing, pulled, pullable []string
	for _, m := range models {
		names = append(names, m.Name)
	}
	for _, name := range executor.FullNames(slices.Concat(cfg.Models, cfg.Pull, cfg.Pullable)) {
		switch {
		case slices.Contains(names, name) || slices.Contains(slices.Concat(missing, pulled, pullable), name):
		case slices.Contains(executor.FullNames(cfg.Pull), name):
			pulled = append(pulled, name)
		case slices.Contains(executor.FullNames(cfg.Pullable), name):
			pullable = append(pullable, name)
		default:
			missing = append(missing, name)
		}
	}
	switch {
	case len(missing) > 0:
		c.Detail = "the engine lacks " + strings.Join(missing, ", ")
		c.Remedy = "`ollama pull " + missing[0] + "`, have the miner do it with --pull or --pullable, or take it out of --models"
		return c
	case len(names)+len(pulled)+len(pullable) == 0:
		c.Detail, c.Remedy = "the engine has no models", "`ollama pull llama3.2`, or another that your machine can run"
		return c
	}
	c.OK, c.Detail = true, cmp.Or(strings.Join(names, ", "), "none yet")
	if len(pulled) > 0 {
		c.Detail += fmt.Sprintf("; a miner that runs pulls %s (see `aitbcd miner status`)", strings.Join(pulled, ", "))
	}
	if len(pullable) > 0 {
		c.Detail += "; pulled when a job needs it: " + strings.Join(pullable, ", ")
	}
	return c
}

// checkMemory also gives the models that fit beside the reserve.
func checkMemory(models []executor.Model, devices []device.Device, reserve int64) ([]executor.Model, Check) {
	c := Check{Name: "memory reserve", OK: true, Detail: "every model fits beside it"}
	offered, withheld := attempt.Withhold(models, devices, reserve)
	if len(withheld) == 0 {
		return offered, c
	}
	var reasons []string
	for _, w := range withheld {
		reasons = append(reasons, w.Name+" is not offered: "+w.Why)
	}
	c.OK, c.Detail = false, strings.Join(reasons, "; ")
	c.Remedy = "lower --memory-reserve, or name the models that you want to offer with --models"
	return offered, c
}

// checkSlots says how many jobs will run at once, and by what. A model that was not measured is no fault:
// one slot is always right, only less than there may be.
func checkSlots(cfg Config, engine string, offered []executor.Model) Check {
	c := Check{Name: "slots"}
	if cfg.Slots > 0 {
		c.OK, c.Detail = true, fmt.Sprintf("%d, by --slots", cfg.Slots)
		return c
	}
	kept, err := readMeasured(cfg.StateDir)
	if err != nil {
		c.Detail, c.Remedy = err.Error(), "`aitbcd miner benchmark --model NAME`, for each model that you offer"
		return c
	}
	slots, unmeasured := measuredSlots(kept, engine, offered)
	all := attempt.AllSlots(slots)
	maps.DeleteFunc(slots, func(name string, _ int) bool { return slices.Contains(unmeasured, name) })
	const how = "not measured as they are now (`aitbcd miner benchmark --model NAME`): "
	c.OK = true
	switch {
	case len(offered) == 0:
		c.Detail = "1, until there is a model to offer"
	case len(slots) == 0:
		c.Detail = "1, for these are " + how + strings.Join(unmeasured, ", ")
	case len(unmeasured) > 0:
		c.Detail = fmt.Sprintf("%d, as measured: %s; 1 of each of these, which are %s%s", all, slotsText(slots), how, strings.Join(unmeasured, ", "))
	default:
		c.Detail = fmt.Sprintf("%d, as measured: %s", all, slotsText(slots))
	}
	return c
}

func checkDevices(ctx context.Context) Check {
	c := Check{Name: "devices"}
	devices, err := device.New().List(ctx)
	if err != nil {
		c.Detail, c.Remedy = err.Error(), "run nvidia-smi yourself: driver and card do not agree. Without it the miner works, and reports no GPU use"
		return c
	}
	var names []string
	for _, d := range devices {
		names = append(names, fmt.Sprintf("%s %s", d.Kind, d.Name))
	}
	c.OK, c.Detail = true, strings.Join(names, ", ")
	return c
}

func checkLedger(ctx context.Context, cfg Config, key ed25519.PrivateKey) Check {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	c := Check{Name: "ledger", Remedy: "is --ledger the gRPC address (port 18003) of a node that runs?"}
	ledger, err := cfg.openLedger()
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	defer ledger.Close()
	var account aitbc.AccountID
	if key != nil {
		account = aitbc.AccountOf(key.Public().(ed25519.PublicKey))
	}
	s, err := enrol.Look(ctx, ledger, account)
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	wanted := max(cfg.Stake, s.MinStake)
	switch {
	case cfg.ChainID != "" && s.ChainID != cfg.ChainID:
		c.Detail, c.Remedy = fmt.Sprintf("it is the chain %q", s.ChainID), "name a node of --chain-id "+cfg.ChainID
	case s.Registered && s.Stake >= s.MinStake:
		c.OK, c.Detail = true, fmt.Sprintf("registered at %s with a stake of %s, %s free", s.ChainID, s.Stake, s.Balance)
	case wanted-s.Stake <= s.Balance:
		c.OK, c.Detail = true, fmt.Sprintf("%s will be bonded at the start, of %s", wanted-s.Stake, s.Balance)
	default:
		c.Detail = fmt.Sprintf("a stake of %s is needed: %s are bonded, %s free", wanted, s.Stake, s.Balance)
		c.Remedy = fmt.Sprintf("have %s sent to %s", wanted-s.Stake-s.Balance, account)
	}
	return c
}

// checkCoordinator asks for a coordinator's health. It opens no session: that would end the one of a miner
// which runs.
func checkCoordinator(ctx context.Context, cfg Config, address string) Check {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	c := Check{Name: "coordinator " + address, Remedy: "is the address right, and does the coordinator run? See --coordinators, --tls, --tls-ca"}
	transport, err := cfg.transport(address)
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport))
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	defer conn.Close()
	answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
	switch {
	case err != nil:
		c.Detail = err.Error()
	case answer.GetStatus() != healthv1.HealthCheckResponse_SERVING:
		c.Detail, c.Remedy = "it is "+answer.GetStatus().String(), "wait, or name another coordinator"
	default:
		c.OK, c.Detail = true, "serving"
	}
	return c
}

// transport gives how a coordinator is spoken to: as the session does it.
func (c Config) transport(address string) (credentials.TransportCredentials, error) {
	if c.Insecure || rpc.IsLoopback(address) && !c.TLS && c.TLSCA == "" {
		return insecure.NewCredentials(), nil
	}
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}), nil
}
