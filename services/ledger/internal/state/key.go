package state

import (
	"encoding/binary"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// The first byte of an entry's key says what it is.
const (
	keyAccount  = 'a' // + account: Account
	keyBurned   = 'b' // alone: what is burned
	keyClock    = 'c' // alone: the cut-off
	keyDue      = 'd' // + time + operator + job: escrows by when they return by themselves
	keyEscrow   = 'e' // + operator + job: Escrow
	keyGrant    = 'g' // + client + operator: Grant
	keyInfo     = 'i' // alone: Info
	keyMiner    = 'm' // + account: Miner
	keyOperator = 'o' // + account: Operator
	keyParams   = 'p' // alone: Params
	keyReplay   = 'r' // + operator + job: the minute its order expires in
	keyMinute   = 't' // + minute + operator + job: replay keys by minute
	keyUnbond   = 'u' // + time + account: miners by when stake comes back to them
	keyValid    = 'v' // + consensus key: a validator's power
	keyTx       = 'x' // + SHA-256 of what its signer signed: a transaction without sequence that is in a block
	keyTxMinute = 'y' // + minute + the same: those by the minute they expire in
)

// present is the value of entries that are only there or not.
var present = []byte{1}

// jobRef names a job: an id is unique for one operator only, so that nobody else can take it.
type jobRef struct {
	operator aitbc.AccountID
	job      aitbc.JobID
}

const jobRefSize = len(aitbc.AccountID{}) + len(aitbc.JobID{})

func (j jobRef) bytes() []byte { return append(append([]byte(nil), j.operator[:]...), j.job[:]...) }

// refAtEnd reads the job that a due or minute key ends with.
func refAtEnd(key string) jobRef {
	tail := []byte(key[len(key)-jobRefSize:])
	return jobRef{operator: aitbc.AccountID(tail[:20]), job: aitbc.JobID(tail[20:])}
}

func accountKey(id aitbc.AccountID) string  { return string(append([]byte{keyAccount}, id[:]...)) }
func minerKey(id aitbc.AccountID) string    { return string(append([]byte{keyMiner}, id[:]...)) }
func operatorKey(id aitbc.AccountID) string { return string(append([]byte{keyOperator}, id[:]...)) }
func escrowKey(ref jobRef) string           { return string(append([]byte{keyEscrow}, ref.bytes()...)) }

func replayKey(ref jobRef) string { return string(append([]byte{keyReplay}, ref.bytes()...)) }

func grantKey(client, operator aitbc.AccountID) string {
	return string(append(append([]byte{keyGrant}, client[:]...), operator[:]...))
}

// timeKey orders by time: a big-endian number that is never negative.
func timeKey(prefix byte, at int64, ref jobRef) string {
	key := binary.BigEndian.AppendUint64([]byte{prefix}, uint64(at))
	return string(append(key, ref.bytes()...))
}

func validatorKey(consensus []byte) string { return string(append([]byte{keyValid}, consensus...)) }

func unbondKey(at int64, id aitbc.AccountID) string {
	key := binary.BigEndian.AppendUint64([]byte{keyUnbond}, uint64(at))
	return string(append(key, id[:]...))
}

// unbondAt reads the time and the account of an unbonding's key.
func unbondAt(key string) (int64, aitbc.AccountID) {
	raw := []byte(key)
	return int64(binary.BigEndian.Uint64(raw[1:9])), aitbc.AccountID(raw[9:])
}

func txKey(body aitbc.Hash) string { return string(append([]byte{keyTx}, body[:]...)) }

func txMinuteKey(minute int64, body aitbc.Hash) string {
	key := binary.BigEndian.AppendUint64([]byte{keyTxMinute}, uint64(minute))
	return string(append(key, body[:]...))
}

// bodyAtEnd reads the hash that a transaction's minute key ends with.
func bodyAtEnd(key string) aitbc.Hash {
	return aitbc.Hash([]byte(key[len(key)-len(aitbc.Hash{}):]))
}

// timeEnd is the first key of its prefix behind all keys up to and with this time.
func timeEnd(prefix byte, at int64) string {
	return string(binary.BigEndian.AppendUint64([]byte{prefix}, uint64(at)+1))
}
