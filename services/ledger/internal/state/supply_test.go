package state

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

func TestMoneyFromNowhereHaltsTheChain(t *testing.T) {
	t.Parallel()
	rich := aitbc.AccountID{1}
	begin := func() *Block {
		st, err := New(Genesis{
			ChainID: "c", Time: time.Unix(100, 0), Params: DevParams(),
			Accounts: []GenesisAccount{{ID: rich.String(), Balance: 5}},
		})
		require.NoError(t, err)
		return st.Begin(Context{Height: 1, Time: time.Unix(101, 0)}, aitbc.Verify)
	}
	for name, cheat := range map[string]func(*Block){
		"a balance grows":   func(b *Block) { b.putAccount(rich, Account{Balance: 6}) },
		"a balance shrinks": func(b *Block) { b.putAccount(rich, Account{Balance: 4}) },
		"a balance below nothing": func(b *Block) {
			b.putAccount(rich, Account{Balance: -1})
			b.putAccount(aitbc.AccountID{2}, Account{Balance: 6})
		},
		"an account vanishes":    func(b *Block) { b.remove(accountKey(rich)) },
		"an escrow from nowhere": func(b *Block) { b.put(escrowKey(jobRef{}), Escrow{Amount: 1, SettleByUS: 1 << 60}.encode()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			honest := begin()
			_, err := honest.End()
			require.NoError(t, err)
			b := begin()
			cheat(b)
			_, err = b.End()
			require.ErrorIs(t, err, errCorrupt)
		})
	}
}

func TestRollbackLeavesNoTrace(t *testing.T) {
	t.Parallel()
	e := &entries{}
	e.Set("a", []byte("1"))
	e.Set("b", []byte("2"))
	s := store{entries: e}
	s.put("a", []byte("kept"))
	mark := s.mark()
	s.put("a", []byte("3"))
	s.remove("b")
	s.put("b", []byte("4"))
	s.put("c", []byte("5"))
	s.remove("c")
	s.remove("absent")
	s.rollback(mark)
	require.Equal(t, []string{"a"}, s.written())
	require.Equal(t, []string{"a", "b"}, e.Keys())
	require.Equal(t, [][]byte{[]byte("kept"), []byte("2")}, e.Values())
}
