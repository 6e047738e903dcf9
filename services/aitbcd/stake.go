package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/miner"
)

// chooseStake asks who sits at a terminal how much to bond, when no flag says so and the miner has too
// little to get work. Without a terminal, and without a ledger that answers, nothing is asked: the miner
// then bonds the least as soon as it can.
func (m *minerCommand) chooseStake(ctx context.Context, c *miner.Config) error {
	if c.Ledger == "" || m.stake != "" || !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ownerTimeout)
	defer cancel()
	stake, err := miner.StakeOf(ctx, *c)
	if err != nil {
		fmt.Fprintf(os.Stderr, "The ledger cannot be asked for this miner's stake now (%s); it bonds the least once it can.\n", err)
		return nil
	}
	if !stake.Lacks() {
		return nil
	}
	c.Stake, err = askStake(os.Stdin, os.Stderr, stake)
	return err
}

// askStake asks until the answer is an amount that gets work; an empty one means the least.
func askStake(in io.Reader, out io.Writer, s miner.Stake) (aitbc.Amount, error) {
	fmt.Fprintf(out, "This miner, %s, has a stake of %s; it gets work from %s on. Its account has %s.\n", s.Account, s.Has, s.Least, s.Balance)
	lines := bufio.NewScanner(in)
	for {
		fmt.Fprintf(out, "Stake to have [%s]: ", s.Least)
		if !lines.Scan() {
			fmt.Fprintln(out)
			return 0, lines.Err()
		}
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			return 0, nil
		}
		amount, err := aitbc.ParseAmount(text)
		switch {
		case err != nil:
			fmt.Fprintf(out, "%s is no amount: give one such as %s\n", text, s.Least)
		case amount < s.Least:
			fmt.Fprintf(out, "%s is not enough: the least is %s\n", amount, s.Least)
		case amount > s.Has+s.Balance:
			fmt.Fprintf(out, "%s is more than the account has: have %s sent to %s, or give less\n", amount, amount-s.Has-s.Balance, s.Account)
		default:
			return amount, nil
		}
	}
}
