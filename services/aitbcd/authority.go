package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/internal/config"
	"github.com/aitbc/aitbc/services/ledger"
)

// authorityTimeout bounds a command of the authority, which waits for a block.
const authorityTimeout = 30 * time.Second

// authority is what the commands of the ledger's authority share.
type authority struct{ state, key, node string }

func (a *authority) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	config.AddFileFlag(f)
	f.StringVar(&a.state, "state", defaultState(), "folder that has the authority's key")
	f.StringVar(&a.key, "authority-key", "", "the authority's key (default: keys/authority.key in the state folder)")
	f.StringVar(&a.node, "ledger", ledger.DefaultConfig().GRPCListen, "LedgerService of a node")
}

// send sends a message of the authority and waits for its block.
func (a *authority) send(cmd *cobra.Command, message *ledgerv1.Message) (err error) {
	path := a.key
	if path == "" {
		path = keyFile(a.state, "authority")
	}
	key, err := aitbc.LoadKey(path)
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(a.node, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("--ledger %s: %w", a.node, err)
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	ctx, cancel := context.WithTimeout(cmd.Context(), authorityTimeout)
	defer cancel()
	public, _ := key.Public().(ed25519.PublicKey) // it is no other type
	account := aitbc.AccountOf(public)
	answer, err := aitbc.NewWallet(ledgerv1.NewLedgerServiceClient(connection), account, key).Send(ctx, message)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "done in block %d\n", answer.GetHeight())
	return nil
}

func newLedgerValidator() *cobra.Command {
	var a authority
	cmd := &cobra.Command{
		Use:   "validator PUBLIC_KEY POWER",
		Short: "Set a validator's power, as the ledger's authority",
		Long: `Lets a node make blocks, or, with power 0, no more. PUBLIC_KEY is the node's consensus key in base64, as it is in
priv_validator_key.json (pub_key) and in the JSON-RPC's /status (validator_info). It holds from the block after the next one on.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := load(cmd); err != nil {
				return err
			}
			key, err := base64.StdEncoding.DecodeString(args[0])
			if err != nil {
				return fmt.Errorf("PUBLIC_KEY %q: want base64: %w", args[0], err)
			}
			power, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return fmt.Errorf("POWER %q: want a number", args[1])
			}
			update := &ledgerv1.UpdateValidators{Updates: []*ledgerv1.ValidatorUpdate{{PublicKey: key, Power: power}}}
			return a.send(cmd, &ledgerv1.Message{Message: &ledgerv1.Message_UpdateValidators{UpdateValidators: update}})
		},
	}
	a.flags(cmd)
	return cmd
}

func newLedgerParam() *cobra.Command {
	var a authority
	cmd := &cobra.Command{
		Use:     "param NAME VALUE",
		Short:   "Change a parameter, as the ledger's authority",
		Long:    `Changes one of the parameters that GetStatus shows, under its name there. It holds from the next block on.`,
		Example: `  aitbcd ledger param fee_bps 100`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := load(cmd); err != nil {
				return err
			}
			document, err := json.Marshal(map[string]string{args[0]: args[1]})
			if err != nil {
				return err
			}
			update := &ledgerv1.UpdateParams{}
			if err := protojson.Unmarshal(document, update); err != nil {
				return fmt.Errorf("no parameter %q takes %q: %w", args[0], args[1], err)
			}
			return a.send(cmd, &ledgerv1.Message{Message: &ledgerv1.Message_UpdateParams{UpdateParams: update}})
		},
	}
	a.flags(cmd)
	return cmd
}
