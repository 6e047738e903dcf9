package app

import (
	"bytes"
	"encoding/json"
	"fmt"

	abci "github.com/cometbft/cometbft/abci/types"
	"google.golang.org/protobuf/proto"

	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

const (
	// codespace says that a transaction's code is a ResultCode.
	codespace = "aitbc.ledger.v1.ResultCode"
	// queryCodespace says that a query's code is one of google.rpc.
	queryCodespace = "google.rpc.Code"
)

// encodeResults gives the messages' codes as a GetTransactionResponse with nothing but results in
// it. They go into the header's hash of all results, so they hold no text for people: its wording
// may change from version to version.
func encodeResults(result state.TxResult) ([]byte, error) {
	codes := &ledgerv1.GetTransactionResponse{}
	for _, m := range result.Messages {
		codes.Results = append(codes.Results, &ledgerv1.MessageResult{Code: m.Code})
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(codes)
	if err != nil {
		return nil, fmt.Errorf("encode results: %w", err)
	}
	return data, nil
}

// validatorUpdates tells consensus who makes blocks from now on.
func validatorUpdates(validators []state.Validator) []abci.ValidatorUpdate {
	updates := make([]abci.ValidatorUpdate, len(validators))
	for i, v := range validators {
		updates[i] = abci.Ed25519ValidatorUpdate(v.PublicKey, v.Power)
	}
	return updates
}

// ParseGenesis reads the app_state of a genesis document. Chain id and time are not in it.
func ParseGenesis(appState []byte) (state.Genesis, error) {
	var g state.Genesis
	decoder := json.NewDecoder(bytes.NewReader(appState))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&g); err != nil {
		return g, fmt.Errorf("read the genesis document's app_state: %w", err)
	}
	return g, nil
}
