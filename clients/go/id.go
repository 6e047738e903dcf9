package aitbc

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/btcsuite/btcd/btcutil/bech32"
	"github.com/oklog/ulid/v2"
)

// ErrMalformed is wrapped by every error about text or bytes that are not what they should be.
var ErrMalformed = errors.New("malformed")

const (
	accountPrefix = "aitbc" // bech32's human-readable part
	jobPrefix     = "job_"
	receiptPrefix = "receipt_"
	leasePrefix   = "lease_"
)

// AccountID is an account's address on the ledger: the first 20 bytes of the SHA-256 of the
// public key it was made with. It stays when the key is rotated. Its text is bech32 (BIP 173)
// with the prefix "aitbc", so that a mistyped character is noticed.
type AccountID [20]byte

// AccountOf gives the address of an account made with this public key.
func AccountOf(key ed25519.PublicKey) AccountID {
	sum := sha256.Sum256(key)
	return AccountID(sum[:20])
}

// ParseAccountID reads an address. Errors: [ErrMalformed].
func ParseAccountID(s string) (AccountID, error) {
	prefix, data, err := bech32.DecodeToBase256(s)
	if err != nil {
		return AccountID{}, fmt.Errorf("account id %q: %w: %w", s, ErrMalformed, err)
	}
	if prefix != accountPrefix || len(data) != len(AccountID{}) {
		return AccountID{}, fmt.Errorf("account id %q: %w: not %q and 20 bytes", s, ErrMalformed, accountPrefix)
	}
	// The decoder also takes upper case and the checksum of bech32m: other texts for one account.
	if id := AccountID(data); id.String() == s {
		return id, nil
	}
	return AccountID{}, fmt.Errorf("account id %q: %w: not lower-case bech32", s, ErrMalformed)
}

// String gives the address.
func (a AccountID) String() string {
	s, err := bech32.EncodeFromBase256(accountPrefix, a[:])
	if err != nil { // 20 bytes and a constant prefix always encode
		panic(err)
	}
	return s
}

// IsZero reports whether a is no account at all.
func (a AccountID) IsZero() bool { return a == AccountID{} }

// MarshalText gives the address; no account is empty text.
func (a AccountID) MarshalText() ([]byte, error) {
	if a.IsZero() {
		return nil, nil
	}
	return []byte(a.String()), nil
}

// UnmarshalText reads an address or empty text. Errors: [ErrMalformed].
func (a *AccountID) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*a = AccountID{}
		return nil
	}
	*a, err = ParseAccountID(string(text))
	return err
}

// JobID identifies a job: a ULID, in text `job_` and its 26 lower-case characters. Whoever
// authorises the order makes it.
type JobID ulid.ULID

// NewJobID makes a job id from the time and 10 bytes of entropy (crypto/rand.Reader).
func NewJobID(now time.Time, entropy io.Reader) (JobID, error) {
	id, err := ulid.New(ulid.Timestamp(now), entropy)
	if err != nil {
		return JobID{}, fmt.Errorf("make job id: %w", err)
	}
	return JobID(id), nil
}

// ParseJobID reads a job id. Errors: [ErrMalformed].
func ParseJobID(s string) (JobID, error) { return parseULID(s, jobPrefix, "job id") }

// ParseReceiptID reads a receipt's id and gives its job's. Errors: [ErrMalformed].
func ParseReceiptID(s string) (JobID, error) { return parseULID(s, receiptPrefix, "receipt id") }

// ParseLeaseID reads a lease's id. Errors: [ErrMalformed].
func ParseLeaseID(s string) (JobID, uint32, error) {
	malformed := func() (JobID, uint32, error) {
		return JobID{}, 0, fmt.Errorf("lease id %q: %w", s, ErrMalformed)
	}
	body, attemptText, ok := strings.Cut(strings.TrimPrefix(s, leasePrefix), "_")
	if !ok || !strings.HasPrefix(s, leasePrefix) {
		return malformed()
	}
	job, err := parseULID(jobPrefix+body, jobPrefix, "lease id")
	if err != nil {
		return malformed()
	}
	attempt, err := strconv.ParseUint(attemptText, 10, 31)
	if err != nil || attempt == 0 || job.LeaseID(uint32(attempt)) != s {
		return malformed()
	}
	return job, uint32(attempt), nil
}

func parseULID(s, prefix, what string) (JobID, error) {
	body, ok := strings.CutPrefix(s, prefix)
	id, err := ulid.ParseStrict(strings.ToUpper(body))
	// Compared with its own text, because ToUpper also makes ASCII of some letters that are not.
	if !ok || err != nil || JobID(id).ulid() != body {
		return JobID{}, fmt.Errorf("%s %q: %w: not %q and a lower-case ULID", what, s, ErrMalformed, prefix)
	}
	return JobID(id), nil
}

func (j JobID) ulid() string { return strings.ToLower(ulid.ULID(j).String()) }

// String gives the job's id.
func (j JobID) String() string { return jobPrefix + j.ulid() }

// Time gives when the id was made, in whole milliseconds, by the clock of who made it.
func (j JobID) Time() time.Time { return ulid.ULID(j).Timestamp() }

// MarshalText gives the job's id.
func (j JobID) MarshalText() ([]byte, error) { return []byte(j.String()), nil }

// UnmarshalText reads a job id. Errors: [ErrMalformed].
func (j *JobID) UnmarshalText(text []byte) (err error) {
	*j, err = ParseJobID(string(text))
	return err
}

// ReceiptID gives the id of the job's receipt.
func (j JobID) ReceiptID() string { return receiptPrefix + j.ulid() }

// LeaseID gives the id of the lease of one attempt, counted from 1.
func (j JobID) LeaseID(attempt uint32) string {
	return leasePrefix + j.ulid() + "_" + strconv.FormatUint(uint64(attempt), 10)
}
