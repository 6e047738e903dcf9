package state

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"iter"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/ledger/internal/tree"
)

// State is the ledger after a block. It never changes: many goroutines may read it while the next
// block is made from it. Only Begin must not be called by two goroutines at once.
type State struct {
	entries  *entries
	tree     tree.Tree
	log      receiptLog
	supply   Supply
	info     Info
	params   Params
	cutOffUS int64
	roots    aitbc.StateRoots
	appHash  aitbc.Hash
	// height and timeUS are beside the hashed state.
	height int64
	timeUS int64
}

// Meta is what is stored beside a state's entries.
type Meta struct {
	// Height is the last block's; 0: only genesis.
	Height int64
	// TimeUS is that block's time in Unix microseconds.
	TimeUS int64
	// AppHash is the state's hash after it.
	AppHash aitbc.Hash
	// LogSize and LogHashes are the receipt log's compact range.
	LogSize   uint64
	LogHashes [][]byte
}

// stateVersion is the version of how entries and meta record are stored.
const stateVersion = 1

// Encode gives the one encoding of the meta record.
func (m Meta) Encode() []byte {
	w := &writer{}
	w.uint32(stateVersion)
	w.int64(m.Height)
	w.int64(m.TimeUS)
	w.fixed(m.AppHash[:])
	w.uint64(m.LogSize)
	w.uint32(uint32(len(m.LogHashes)))
	for _, h := range m.LogHashes {
		w.bytes(h)
	}
	return w.buf
}

// DecodeMeta reads a meta record.
func DecodeMeta(b []byte) (Meta, error) {
	r := &reader{rest: b}
	if version := r.uint32(); r.err == nil && version != stateVersion {
		return Meta{}, fmt.Errorf("read ledger meta record: the state was stored by another version of this program (format %d, this one's is %d): "+
			"run that version, or join the network anew with an empty data folder", version, stateVersion)
	}
	m := Meta{Height: r.int64(), TimeUS: r.int64()}
	r.fill(m.AppHash[:])
	m.LogSize = r.uint64()
	for n := r.uint32(); n > 0 && r.err == nil; n-- {
		m.LogHashes = append(m.LogHashes, r.bytes())
	}
	if err := r.end(); err != nil {
		return Meta{}, fmt.Errorf("read ledger meta record: %w", err)
	}
	return m, nil
}

// Load builds a state from its stored entries. It checks every entry, the supply and the app hash.
func Load(meta Meta, stored iter.Seq2[string, []byte]) (*State, error) {
	s := &State{entries: &entries{}, height: meta.Height, timeUS: meta.TimeUS}
	var changes []tree.Change
	for key, value := range stored {
		if err := checkEntry(key, value); err != nil {
			return nil, fmt.Errorf("load ledger state: %w", err)
		}
		s.entries.Set(key, value)
		changes = append(changes, tree.Changed(key, value))
	}
	s.tree = s.tree.With(changes)
	var err error
	if s.log, err = newReceiptLog(meta.LogSize, meta.LogHashes); err != nil {
		return nil, fmt.Errorf("load ledger state: %w", err)
	}
	if s.supply, err = recount(s.entries); err != nil {
		return nil, fmt.Errorf("load ledger state: %w", err)
	}
	if err := s.complete(); err != nil {
		return nil, fmt.Errorf("load ledger state: %w", err)
	}
	if s.appHash != meta.AppHash {
		return nil, fmt.Errorf("load ledger state: %w: its hash is %x, stored was %x", errCorrupt, s.appHash, meta.AppHash)
	}
	return s, nil
}

// checkEntry makes sure that reading the entry later can not fail.
func checkEntry(key string, value []byte) error {
	if len(key) == 0 || value == nil {
		return fmt.Errorf("%w: an entry without key or value", errCorrupt)
	}
	r := &reader{rest: value}
	want := 1
	switch key[0] {
	case keyAccount:
		readAccount(r)
		want += len(aitbc.AccountID{})
	case keyMiner:
		readMiner(r)
		want += len(aitbc.AccountID{})
	case keyOperator:
		readOperator(r)
		want += len(aitbc.AccountID{})
	case keyGrant:
		readGrant(r)
		want += 2 * len(aitbc.AccountID{})
	case keyEscrow:
		readEscrow(r)
		want += jobRefSize
	case keyReplay:
		r.int64()
		want += jobRefSize
	case keyDue, keyMinute:
		r.uint8()
		want += 8 + jobRefSize
	case keyUnbond:
		r.uint8()
		want += 8 + len(aitbc.AccountID{})
	case keyValid:
		r.int64()
		want += ed25519.PublicKeySize
	case keyTx:
		r.uint8()
		want += len(aitbc.Hash{})
	case keyTxMinute:
		r.uint8()
		want += 8 + len(aitbc.Hash{})
	case keyInfo:
		readInfo(r)
	case keyParams:
		readParams(r)
	case keyClock, keyBurned:
		r.int64()
	default:
		return fmt.Errorf("%w: entry of unknown kind %x", errCorrupt, key)
	}
	if len(key) != want {
		return fmt.Errorf("%w: key %x has %d bytes, want %d", errCorrupt, key, len(key), want)
	}
	if err := r.end(); err != nil {
		return fmt.Errorf("entry %x: %w", key, err)
	}
	return nil
}

// ErrNewerRules is wrapped when the network has gone over to rules that this program does not know.
var ErrNewerRules = errors.New("the network has gone over to newer rules: run a newer version of this program")

// complete fills in what follows from the entries, and checks the supply.
func (s *State) complete() error {
	var there [3]bool
	s.info, there[0] = load(s.entries, string(keyInfo), readInfo)
	s.params, there[1] = load(s.entries, string(keyParams), readParams)
	s.cutOffUS, there[2] = load(s.entries, string(keyClock), (*reader).int64)
	if there != [3]bool{true, true, true} {
		return fmt.Errorf("%w: info, parameters or clock are missing", errCorrupt)
	}
	if s.params.RulesVersion > RulesVersion {
		return fmt.Errorf("%w: %d, this program knows %d", ErrNewerRules, s.params.RulesVersion, RulesVersion)
	}
	if total := s.supply.Total(); total != s.info.Supply {
		return fmt.Errorf("%w: the parts of the supply sum to %d, want %d", errCorrupt, total, s.info.Supply)
	}
	s.roots = aitbc.StateRoots{Entries: s.tree.Root(), LogSize: s.log.size(), LogRoot: aitbc.Hash(s.log.root())}
	s.appHash = s.roots.AppHash()
	return nil
}

// Meta gives the record that is stored beside the entries.
func (s *State) Meta() Meta {
	return Meta{
		Height:    s.height,
		TimeUS:    s.timeUS,
		AppHash:   s.appHash,
		LogSize:   s.log.size(),
		LogHashes: s.log.hashes(),
	}
}

// Height is the last block's height; 0: only genesis.
func (s *State) Height() int64 { return s.height }

// BlockTime is the last block's time; genesis time before there is one.
func (s *State) BlockTime() time.Time { return time.UnixMicro(s.timeUS).UTC() }

// LedgerTimeUS is the ledger's clock in Unix microseconds.
func (s *State) LedgerTimeUS() int64 { return s.timeUS - s.cutOffUS }

// AppHash commits to the state.
func (s *State) AppHash() aitbc.Hash { return s.appHash }

// Params gives the parameters.
func (s *State) Params() Params { return s.params }

// Info gives what genesis fixed.
func (s *State) Info() Info { return s.info }

// Supply says where every unit is.
func (s *State) Supply() Supply { return s.supply }

// Recount sums the supply up from all entries; it must equal Supply.
func (s *State) Recount() (Supply, error) { return recount(s.entries) }

// Receipts is the size of the receipt log.
func (s *State) Receipts() uint64 { return s.log.size() }

// Account reads an account.
func (s *State) Account(id aitbc.AccountID) (Account, bool) {
	return load(s.entries, accountKey(id), readAccount)
}

// Grant reads a client's grant to an operator. SpentToday is of the current day.
func (s *State) Grant(client, operator aitbc.AccountID) (Grant, bool) {
	g, there := load(s.entries, grantKey(client, operator), readGrant)
	return g.on(dayOf(s.LedgerTimeUS())), there
}

// Miner reads a miner.
func (s *State) Miner(id aitbc.AccountID) (Miner, bool) {
	return load(s.entries, minerKey(id), readMiner)
}

// Operator reads an operator.
func (s *State) Operator(id aitbc.AccountID) (Operator, bool) {
	return load(s.entries, operatorKey(id), readOperator)
}

// Escrow reads an operator's open job.
func (s *State) Escrow(operator aitbc.AccountID, job aitbc.JobID) (Escrow, bool) {
	return load(s.entries, escrowKey(jobRef{operator, job}), readEscrow)
}

// Miners gives at most limit miners in the order of their ids, beginning with from.
func (s *State) Miners(from aitbc.AccountID, limit int) []aitbc.AccountID {
	var ids []aitbc.AccountID
	s.entries.Ascend(minerKey(from), func(key string, _ []byte) bool {
		if key[0] != keyMiner || len(ids) == limit {
			return false
		}
		ids = append(ids, aitbc.AccountID([]byte(key[1:])))
		return true
	})
	return ids
}

// Entries walks all entries in order.
func (s *State) Entries() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) { s.entries.Scan(yield) }
}
