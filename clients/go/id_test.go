package aitbc_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil/bech32"
	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

var (
	someAccount = aitbc.AccountID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}
	someJob     = aitbc.JobID{0x01, 0x94, 0xb2, 0xb7, 0xd9, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
)

func TestEveryTypoInAnAddressIsNoticed(t *testing.T) {
	t.Parallel()
	text := someAccount.String()
	got, err := aitbc.ParseAccountID(text)
	require.NoError(t, err)
	require.Equal(t, someAccount, got)

	for i := range text {
		for _, c := range "qpzry9x8gf2tvdw0s3jn54khce6mua7lb1o" {
			if text[i] == byte(c) {
				continue
			}
			typo := text[:i] + string(c) + text[i+1:]
			_, err := aitbc.ParseAccountID(typo)
			require.ErrorIs(t, err, aitbc.ErrMalformed, typo)
		}
	}
}

func TestAddressRefused(t *testing.T) {
	t.Parallel()
	text := someAccount.String()
	five, err := bech32.ConvertBits(someAccount[:], 8, 5, true)
	require.NoError(t, err)
	modified, err := bech32.EncodeM("aitbc", five)
	require.NoError(t, err)
	other, err := bech32.EncodeFromBase256("cosmos", someAccount[:])
	require.NoError(t, err)
	long, err := bech32.EncodeFromBase256("aitbc", make([]byte, 32))
	require.NoError(t, err)
	for name, s := range map[string]string{
		"empty":                "",
		"another network's":    other,
		"32 bytes":             long,
		"bech32m":              modified,
		"upper case":           strings.ToUpper(text),
		"one upper-case":       "Aitbc" + text[5:],
		"cut":                  text[:len(text)-1],
		"trailing space":       text + " ",
		"two characters twist": text[:10] + text[11:12] + text[10:11] + text[12:],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := aitbc.ParseAccountID(s)
			require.ErrorIs(t, err, aitbc.ErrMalformed)
		})
	}
}

func TestIDsOfAJob(t *testing.T) {
	t.Parallel()
	const ulid = "01jjsbfpdr041061050r3gg28a"
	require.Equal(t, "job_"+ulid, someJob.String())
	require.Equal(t, "receipt_"+ulid, someJob.ReceiptID())
	require.Equal(t, "lease_"+ulid+"_2", someJob.LeaseID(2))

	job, err := aitbc.ParseJobID("job_" + ulid)
	require.NoError(t, err)
	require.Equal(t, someJob, job)
	job, err = aitbc.ParseReceiptID("receipt_" + ulid)
	require.NoError(t, err)
	require.Equal(t, someJob, job)
	job, attempt, err := aitbc.ParseLeaseID("lease_" + ulid + "_2")
	require.NoError(t, err)
	require.Equal(t, someJob, job)
	require.EqualValues(t, 2, attempt)
}

func TestJobIDRefused(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"empty":                          "",
		"the seed's example":             "job_123456",
		"no prefix":                      "01jjsbfpdr041061050r3gg28a",
		"a receipt's":                    "receipt_01jjsbfpdr041061050r3gg28a",
		"upper case":                     "job_01JJSBFPDR041061050R3GG28A",
		"a letter ULIDs do not have":     "job_01jjsbfpdr041061050r3gg28u",
		"over 128 bits":                  "job_81jjsbfpdr041061050r3gg28a",
		"one too short":                  "job_01jjsbfpdr041061050r3gg28",
		"one too long":                   "job_01jjsbfpdr041061050r3gg28aa",
		"a letter whose upper case is S": "job_01jj\u017fbfpdr041061050r3gg28a",
		"a zero byte":                    "job_01jjsbfpdr041061050r3gg28\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := aitbc.ParseJobID(s)
			require.ErrorIs(t, err, aitbc.ErrMalformed)
		})
	}
}

func TestLeaseIDRefused(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"no attempt":        "lease_01jjsbfpdr041061050r3gg28a",
		"empty attempt":     "lease_01jjsbfpdr041061050r3gg28a_",
		"attempt 0":         "lease_01jjsbfpdr041061050r3gg28a_0",
		"signed attempt":    "lease_01jjsbfpdr041061050r3gg28a_+1",
		"attempt 01":        "lease_01jjsbfpdr041061050r3gg28a_01",
		"attempt too large": "lease_01jjsbfpdr041061050r3gg28a_2147483648",
		"no prefix":         "01jjsbfpdr041061050r3gg28a_1",
		"a job's":           "job_01jjsbfpdr041061050r3gg28a_1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := aitbc.ParseLeaseID(s)
			require.ErrorIs(t, err, aitbc.ErrMalformed)
		})
	}
}

func TestNewJobIDHoldsTimeAndEntropy(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 1, 29, 14, 50, 1, 0, time.UTC)
	id, err := aitbc.NewJobID(now, bytes.NewReader([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}))
	require.NoError(t, err)
	require.Equal(t, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, id[6:])
	require.Less(t, id.String(), someJobAt(t, now.Add(time.Millisecond)).String())

	_, err = aitbc.NewJobID(now, bytes.NewReader(nil))
	require.Error(t, err)
}

func someJobAt(t *testing.T, now time.Time) aitbc.JobID {
	t.Helper()
	id, err := aitbc.NewJobID(now, bytes.NewReader(make([]byte, 10)))
	require.NoError(t, err)
	return id
}

func TestHashText(t *testing.T) {
	t.Parallel()
	hash := aitbc.ResultHash([]byte("abc"))
	require.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hash.String())
	for _, verb := range []string{"%s", "%v", "%x"} {
		require.Equal(t, hash.String(), fmt.Sprintf(verb, hash))
	}
	require.Equal(t, strings.ToUpper(hash.String()), fmt.Sprintf("%X", hash))
	back, err := aitbc.ParseHash(hash.String())
	require.NoError(t, err)
	require.Equal(t, hash, back)
	for _, s := range []string{"", "0x" + hash.String(), strings.ToUpper(hash.String()), hash.String()[2:], hash.String() + "00"} {
		_, err := aitbc.ParseHash(s)
		require.ErrorIs(t, err, aitbc.ErrMalformed, s)
	}
}
