package aitbc_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// vectorFile is testdata/signing_vectors.json, which testdata/signing_vectors.py writes: an
// encoder that shares no line with this package.
type vectorFile struct {
	Keys map[string]struct {
		Seed      string          `json:"seed"`
		PublicKey string          `json:"public_key"`
		Account   aitbc.AccountID `json:"account"`
	} `json:"keys"`
	Vectors []signingVector `json:"vectors"`
}

type signingVector struct {
	Kind         string          `json:"kind"`
	Name         string          `json:"name"`
	Fields       json.RawMessage `json:"fields"`
	SigningBytes string          `json:"signing_bytes"`
	Hash         string          `json:"hash"`
	Signer       string          `json:"signer"`
	Signature    string          `json:"signature"`
	ID           string          `json:"id"`
	TxBody       string          `json:"tx_body"`
	Tx           string          `json:"tx"`
	TxHash       string          `json:"tx_hash"`
}

func readVectors(t *testing.T) vectorFile {
	t.Helper()
	data, err := os.ReadFile("testdata/signing_vectors.json")
	require.NoError(t, err)
	var file vectorFile
	require.NoError(t, json.Unmarshal(data, &file))
	return file
}

func (f vectorFile) key(t *testing.T, who string) ed25519.PrivateKey {
	t.Helper()
	seed := unhex(t, f.Keys[who].Seed)
	require.Len(t, seed, ed25519.SeedSize)
	return ed25519.NewKeyFromSeed(seed)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func decode[T any](t *testing.T, raw json.RawMessage) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal(raw, &v))
	return v
}

// parsed is what both directions of a kind give for one vector.
type parsed struct {
	signing []byte
	hash    aitbc.Hash
	back    any // the signing bytes read back; nil: this kind is never read
	want    any
}

type signed interface {
	SigningBytes() []byte
	Hash() aitbc.Hash
}

func roundTrip[T signed](t *testing.T, v signingVector, parse func([]byte) (T, error)) parsed {
	t.Helper()
	value := decode[T](t, v.Fields)
	back, err := parse(unhex(t, v.SigningBytes))
	require.NoError(t, err)
	return parsed{value.SigningBytes(), value.Hash(), back, value}
}

func check(t *testing.T, v signingVector) parsed {
	t.Helper()
	switch v.Kind {
	case "order":
		return roundTrip(t, v, aitbc.ParseOrder)
	case "lease":
		require.Equal(t, v.ID, decode[aitbc.Lease](t, v.Fields).ID())
		return roundTrip(t, v, aitbc.ParseLease)
	case "statement":
		return roundTrip(t, v, aitbc.ParseAnyStatement)
	case "acceptance":
		return roundTrip(t, v, aitbc.ParseAcceptance)
	case "payload":
		hash, err := decode[aitbc.Payload](t, v.Fields).Hash()
		require.NoError(t, err)
		return parsed{hash: hash}
	case "commitment":
		f := decode[struct{ Salt, Content aitbc.Hash }](t, v.Fields)
		return parsed{hash: aitbc.Commitment(aitbc.Salt(f.Salt), f.Content)}
	case "session":
		f := decode[struct {
			ChainID         string
			Operator, Miner aitbc.AccountID
			Challenge       aitbc.Hash
			ChannelBinding  string
		}](t, v.Fields)
		challenge := aitbc.SessionChallenge{
			ChainID: f.ChainID, Operator: f.Operator, Miner: f.Miner,
			Challenge: f.Challenge, ChannelBinding: unhex(t, f.ChannelBinding),
		}
		return parsed{signing: challenge.SigningBytes()}
	case "rotation":
		f := decode[struct {
			ChainID   string
			Account   aitbc.AccountID
			PublicKey string
		}](t, v.Fields)
		rotation := aitbc.Rotation{ChainID: f.ChainID, Account: f.Account, PublicKey: unhex(t, f.PublicKey)}
		return parsed{signing: rotation.SigningBytes()}
	case "receipt":
		leaf := decode[aitbc.ReceiptLeaf](t, v.Fields)
		back, err := aitbc.ReceiptLeafOf(leaf.Proto())
		require.NoError(t, err)
		return parsed{signing: leaf.Bytes(), back: back, want: leaf}
	case "state":
		return parsed{hash: decode[aitbc.StateRoots](t, v.Fields).AppHash()}
	case "transaction":
		return parsed{signing: aitbc.TxSigningBytes(unhex(t, v.TxBody))}
	}
	require.Fail(t, "unknown kind", v.Kind)
	return parsed{}
}

func TestSigningVectors(t *testing.T) {
	t.Parallel()
	file := readVectors(t)
	kinds := map[string]bool{}
	for _, v := range file.Vectors {
		kinds[v.Kind] = true
		t.Run(v.Kind+" "+v.Name, func(t *testing.T) {
			t.Parallel()
			got := check(t, v)
			if got.signing != nil {
				require.Equal(t, v.SigningBytes, hex.EncodeToString(got.signing))
			}
			if !got.hash.IsZero() {
				require.Equal(t, v.Hash, got.hash.String())
			}
			require.Equal(t, got.want, got.back)
			if v.Signer == "" {
				return
			}
			key := file.key(t, v.Signer)
			require.Equal(t, v.Signature, hex.EncodeToString(aitbc.Sign(key, got.signing)))
			require.True(t, aitbc.Verify(unhex(t, file.Keys[v.Signer].PublicKey), got.signing, unhex(t, v.Signature)))
		})
	}
	require.Len(t, kinds, 11)
}

func TestSigningVectorsNameAccounts(t *testing.T) {
	t.Parallel()
	file := readVectors(t)
	for who, k := range file.Keys {
		public, ok := file.key(t, who).Public().(ed25519.PublicKey)
		require.True(t, ok)
		require.Equal(t, k.PublicKey, hex.EncodeToString(public))
		require.Equal(t, k.Account, aitbc.AccountOf(public))
	}
}

func TestSignedTransactionIsTheVectors(t *testing.T) {
	t.Parallel()
	file := readVectors(t)
	v := file.Vectors[len(file.Vectors)-1]
	require.Equal(t, "transaction", v.Kind)
	f := decode[struct {
		ChainID    string
		Signer, To aitbc.AccountID
		ExpiresUS  int64
		Sequence   uint64
		Amount     aitbc.Amount
	}](t, v.Fields)

	tx, hash, err := aitbc.SignTx(file.key(t, v.Signer), &ledgerv1.TxBody{
		Version: aitbc.TxVersion, ChainId: f.ChainID, Signer: f.Signer[:], ExpiresUs: f.ExpiresUS, Sequence: f.Sequence,
		Messages: []*ledgerv1.Message{{Message: &ledgerv1.Message_Transfer{
			Transfer: &ledgerv1.Transfer{To: f.To[:], AmountUaitbc: int64(f.Amount)},
		}}},
	})
	require.NoError(t, err)
	require.Equal(t, v.Tx, hex.EncodeToString(tx))
	require.Equal(t, v.TxHash, hash.String())

	_, _, err = aitbc.SignTx(nil, &ledgerv1.TxBody{})
	require.ErrorIs(t, err, aitbc.ErrMalformed)
}
