package state

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/ledger/internal/tree"
)

// Genesis is the ledger before its first block. Its JSON is the app_state of CometBFT's genesis
// document, where chain id and time have places of their own. Accounts are named by address.
type Genesis struct {
	// ChainID names the chain; every signature is for one chain.
	ChainID string `json:"-"`
	// Time is where the chain's time begins.
	Time time.Time `json:"-"`
	// Validators make the first blocks.
	Validators []Validator `json:"-"`
	// Params are the parameters.
	Params Params `json:"params"`
	// Authority is the account that may change parameters; empty: none.
	Authority string `json:"authority,omitempty"`
	// Accounts are all accounts; the others in this document must be among them.
	Accounts []GenesisAccount `json:"accounts"`
	// Operators are the registered operators.
	Operators []GenesisOperator `json:"operators,omitempty"`
	// Miners are the registered miners with what they have staked beside their balance.
	Miners []GenesisMiner `json:"miners,omitempty"`
	// Allowances are clients' grants to operators.
	Allowances []GenesisAllowance `json:"allowances,omitempty"`
}

// GenesisAccount is an account with its balance.
type GenesisAccount struct {
	// ID is its address.
	ID string `json:"id"`
	// PublicKey is its Ed25519 key in hex; empty: learnt when the account first signs.
	PublicKey string       `json:"public_key,omitempty"`
	Balance   aitbc.Amount `json:"balance_uaitbc"`
}

// GenesisOperator is a registered operator.
type GenesisOperator struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// GenesisMiner is a registered miner.
type GenesisMiner struct {
	ID    string       `json:"id"`
	Name  string       `json:"name,omitempty"`
	Stake aitbc.Amount `json:"stake_uaitbc"`
}

// GenesisAllowance is a client's grant; zeros mean what they do in GrantAllowance.
type GenesisAllowance struct {
	Client    string       `json:"client"`
	Operator  string       `json:"operator"`
	Cap       aitbc.Amount `json:"cap_uaitbc"`
	PerJob    aitbc.Amount `json:"per_job_uaitbc,omitempty"`
	PerDay    aitbc.Amount `json:"per_day_uaitbc,omitempty"`
	ExpiresUS int64        `json:"expires_us,omitempty"`
}

// errGenesis is wrapped by every fault of a genesis document.
var errGenesis = errors.New("bad genesis")

// New builds the state before the first block.
func New(g Genesis) (*State, error) {
	if g.ChainID == "" || g.Time.UnixMicro() < 0 {
		return nil, fmt.Errorf("%w: no chain id, or a time before 1970", errGenesis)
	}
	if err := g.Params.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", errGenesis, err)
	}
	b := &builder{entries: &entries{}}
	info := Info{ChainID: g.ChainID, Supply: b.accounts(g.Accounts)}
	b.operators(g.Operators)
	info.Supply = b.sum(info.Supply, b.miners(g.Miners))
	b.allowances(g.Allowances)
	b.validators(g.Validators)
	if g.Authority != "" {
		info.Authority = b.account(g.Authority)
	}
	if len(b.faults) > 0 {
		return nil, fmt.Errorf("%w: %w", errGenesis, errors.Join(b.faults...))
	}
	b.entries.Set(string(keyInfo), info.encode())
	b.entries.Set(string(keyParams), g.Params.encode())
	b.entries.Set(string(keyClock), encodeInt(0))
	return b.state(g.Time.UnixMicro())
}

// builder gathers a genesis document's entries and all its faults.
type builder struct {
	entries *entries
	faults  []error
}

func (b *builder) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Errorf(format, args...))
}

func (b *builder) state(timeUS int64) (*State, error) {
	s := &State{entries: b.entries, timeUS: timeUS}
	var changes []tree.Change
	s.entries.Scan(func(key string, value []byte) bool {
		changes = append(changes, tree.Changed(key, value))
		return true
	})
	s.tree = s.tree.With(changes)
	var err error
	if s.log, err = newReceiptLog(0, nil); err != nil {
		return nil, err
	}
	if s.supply, err = recount(s.entries); err != nil {
		return nil, err
	}
	return s, s.complete()
}

// account reads the address of an account that the document lists.
func (b *builder) account(text string) aitbc.AccountID {
	id, err := aitbc.ParseAccountID(text)
	if err != nil {
		b.fault("%w", err)
	} else if _, there := b.entries.Get(accountKey(id)); !there {
		b.fault("account %s is named but not among the accounts", text)
	}
	return id
}

func (b *builder) put(what, key string, value []byte) {
	if _, there := b.entries.Set(key, value); there {
		b.fault("%s is listed twice", what)
	}
}

// sum adds amounts that must be neither negative nor too much for the supply.
func (b *builder) sum(total, v aitbc.Amount) aitbc.Amount {
	if v < 0 || v > math.MaxInt64-total {
		b.fault("amount %d is negative, or too much in all", v)
		return total
	}
	return total + v
}

func (b *builder) accounts(accounts []GenesisAccount) aitbc.Amount {
	var total aitbc.Amount
	for _, a := range accounts {
		id, err := aitbc.ParseAccountID(a.ID)
		if err != nil {
			b.fault("%w", err)
			continue
		}
		key, err := hex.DecodeString(a.PublicKey)
		if err != nil || (len(key) != 0 && (len(key) != ed25519.PublicKeySize || aitbc.AccountOf(key) != id)) {
			b.fault("public key %q is not that of account %s", a.PublicKey, a.ID)
		}
		total = b.sum(total, a.Balance)
		entry := Account{Balance: a.Balance, NextSequence: 1, PublicKey: key}
		b.put("account "+a.ID, accountKey(id), entry.encode())
	}
	return total
}

func (b *builder) operators(operators []GenesisOperator) {
	for _, o := range operators {
		if len(o.Name) > maxNameBytes {
			b.fault("operator name %q is longer than %d bytes", o.Name, maxNameBytes)
		}
		b.put("operator "+o.ID, operatorKey(b.account(o.ID)), Operator{Name: o.Name}.encode())
	}
}

func (b *builder) miners(miners []GenesisMiner) aitbc.Amount {
	var total aitbc.Amount
	for _, m := range miners {
		if len(m.Name) > maxNameBytes {
			b.fault("miner name %q is longer than %d bytes", m.Name, maxNameBytes)
		}
		total = b.sum(total, m.Stake)
		id := b.account(m.ID)
		if account, _ := load(b.entries, accountKey(id), readAccount); len(account.PublicKey) == 0 {
			b.fault("miner %s needs its public key: its statements are checked with it", m.ID)
		}
		b.put("miner "+m.ID, minerKey(id), Miner{Name: m.Name, Stake: m.Stake}.encode())
	}
	return total
}

func (b *builder) validators(validators []Validator) {
	if len(validators) > MaxValidators {
		b.fault("%d validators, at most %d", len(validators), MaxValidators)
	}
	for _, v := range validators {
		if len(v.PublicKey) != ed25519.PublicKeySize || v.Power <= 0 || v.Power > MaxValidatorPower {
			b.fault("validator %x: want an Ed25519 key, and a power of 1 to %d", v.PublicKey, int64(MaxValidatorPower))
		}
		b.put(fmt.Sprintf("validator %x", v.PublicKey), validatorKey(v.PublicKey), encodeInt(v.Power))
	}
}

func (b *builder) allowances(allowances []GenesisAllowance) {
	for _, a := range allowances {
		client, operator := b.account(a.Client), b.account(a.Operator)
		if _, there := b.entries.Get(operatorKey(operator)); !there {
			b.fault("allowance of %s: %s is not an operator", a.Client, a.Operator)
		}
		if a.Cap <= 0 || a.PerJob < 0 || a.PerDay < 0 || a.ExpiresUS < 0 {
			b.fault("allowance of %s: a limit is negative, or its cap is nothing", a.Client)
		}
		grant := Grant{Remaining: a.Cap, PerJob: a.PerJob, PerDay: a.PerDay, ExpiresUS: a.ExpiresUS}
		b.put("allowance of "+a.Client, grantKey(client, operator), grant.encode())
	}
}
