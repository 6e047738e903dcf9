// Package history remembers what execution forgets: how each transaction ended, how each job was
// escrowed and settled, and what a proof of a receipt is made of: the nodes of the receipt log's
// tree, and the roots that each app hash commits to.
//
// Execution never reads it, so a node whose history begins late gives the same answers to the
// same blocks. It is written before the state of the same block is, and on disk before that
// (Write syncs): when the process dies in between, the block is executed again and Write is called
// again with the same content. Invariant: writing a block again, or again from any earlier block
// on, ends in the same records.
//
// Start at DB.Write; proofs are in proof.go.
package history

import (
	"encoding/binary"
	"fmt"

	dbm "github.com/cometbft/cometbft-db"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"google.golang.org/protobuf/proto"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

// The first byte of a key says what it leads to.
const (
	keyTransaction = 't' // + hash: GetTransactionResponse
	keyJob         = 'j' // + operator + job: GetJobResponse with the escrow's hashes alone
	keyReceipt     = 'l' // + index in the receipt log: LedgerReceipt
	keyMovement    = 'm' // + height and place in the block: StatementEntry without balance
	keyStatement   = 's' // + account, height and place: the account's balance then; empty when it was not touched
	keyNode        = 'n' // + level (1 byte) and index of a node of the receipt log's tree: its hash
	keyRoots       = 'r' // + height of a block that changed the app hash: aitbc.StateRoots
)

// settings let the database gather 16 MiB in memory (twice that, while one is written out) instead of 4
// before it makes a file of it, and make larger files: with goleveldb's own settings, merging the
// records of thousands of jobs again and again was a tenth of a busy node's processor time.
var settings = &opt.Options{WriteBuffer: 16 * opt.MiB, CompactionTableSize: 8 * opt.MiB, CompactionTotalSize: 64 * opt.MiB}

// OpenDatabase opens a database for a history in a folder, or makes it. The caller closes it.
func OpenDatabase(name, folder string) (dbm.DB, error) {
	db, err := dbm.NewGoLevelDBWithOpts(name, folder, settings)
	if err != nil {
		return nil, fmt.Errorf("open the ledger's history: %w", err)
	}
	return db, nil
}

// DB is the history. Reads may run beside one Write.
type DB struct{ db dbm.DB }

// New puts a history into a database of its own, which it does not close.
func New(db dbm.DB) *DB { return &DB{db: db} }

// Block is what is remembered of a block.
type Block struct {
	Height int64
	// TimeUS is the block's time in Unix microseconds.
	TimeUS int64
	Txs    []state.TxResult
	Events []state.Event
	// Movements are what it moved.
	Movements []state.Movement
	// LogNodes are the nodes that the block completed.
	LogNodes []state.LogNode
	// Roots are the state's after the block; nil when it changed nothing.
	Roots *aitbc.StateRoots
}

// Write remembers a block, durably.
func (d *DB) Write(b Block) error {
	if len(b.Txs) == 0 && len(b.Events) == 0 && len(b.Movements) == 0 && b.Roots == nil {
		return nil
	}
	w := &blockWriter{db: d, pending: map[string]proto.Message{}, raw: proofRecords(b.Height, b.LogNodes, b.Roots)}
	for _, tx := range b.Txs {
		if err := w.transaction(b, tx); err != nil {
			return fmt.Errorf("write history of block %d: %w", b.Height, err)
		}
	}
	for _, e := range b.Events {
		if err := w.event(b, e); err != nil {
			return fmt.Errorf("write history of block %d: %w", b.Height, err)
		}
	}
	w.movements(b)
	if err := w.commit(); err != nil {
		return fmt.Errorf("write history of block %d: %w", b.Height, err)
	}
	return nil
}

// Transaction reads how a transaction ended; found is false when it is not remembered.
func (d *DB) Transaction(hash aitbc.Hash) (*ledgerv1.GetTransactionResponse, error) {
	record := &ledgerv1.GetTransactionResponse{}
	_, err := d.read(key(keyTransaction, hash[:]), record)
	return record, err
}

// Job reads what is remembered of an operator's job: the hashes of its escrow, and its settlement.
func (d *DB) Job(operator aitbc.AccountID, job aitbc.JobID) (*ledgerv1.GetJobResponse, error) {
	record := &ledgerv1.GetJobResponse{}
	_, err := d.read(key(keyJob, operator[:], job[:]), record)
	return record, err
}

// Receipt reads a leaf of the receipt log; nil when it is not remembered.
func (d *DB) Receipt(index uint64) (*ledgerv1.LedgerReceipt, error) {
	record := &ledgerv1.LedgerReceipt{}
	there, err := d.read(receiptKey(index), record)
	if !there {
		return nil, err
	}
	return record, nil
}

func (d *DB) read(key string, into proto.Message) (bool, error) {
	raw, err := d.db.Get([]byte(key))
	if err != nil {
		return false, fmt.Errorf("read history: %w", err)
	}
	if raw == nil {
		return false, nil
	}
	if err := proto.Unmarshal(raw, into); err != nil {
		return false, fmt.Errorf("read history: record %x: %w", key, err)
	}
	return true, nil
}

func key(prefix byte, parts ...[]byte) string {
	k := []byte{prefix}
	for _, p := range parts {
		k = append(k, p...)
	}
	return string(k)
}

func receiptKey(index uint64) string {
	return key(keyReceipt, binary.BigEndian.AppendUint64(nil, index))
}
