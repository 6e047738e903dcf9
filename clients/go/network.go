package aitbc

import (
	"context"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// Account is the caller's account, and what its orders need to know. Its JSON is the contract's.
type Account struct {
	// ID is its address on the ledger.
	ID AccountID `json:"account_id"`
	// Balance does not include escrows; Escrowed is what is in escrow for jobs here or about to be.
	Balance  Amount `json:"balance"`
	Escrowed Amount `json:"escrowed"`
	// Allowance is what the operator may still escrow without a signed order.
	Allowance Amount `json:"allowance"`
	// Available is what a job submitted now may cost at most.
	Available Amount `json:"available"`
	// ChainID and LedgerTime are the ledger's; deadlines of orders are on its clock.
	ChainID    string    `json:"chain_id"`
	LedgerTime time.Time `json:"ledger_time,omitzero"`
	// OperatorID is the coordinator's operator; PricePerSecond is its price of a compute second.
	OperatorID     AccountID `json:"operator_id"`
	PricePerSecond Amount    `json:"price_per_second"`
}

// Account reads the caller's account.
func (c *Client) Account(ctx context.Context) (*Account, error) {
	answer, err := c.network.GetAccount(ctx, &coordinatorv1.GetAccountRequest{})
	if err != nil {
		return nil, err
	}
	m := answer.GetAccount()
	var f fieldReader
	return &Account{
		ID:             f.account("account_id", m.GetAccountId()),
		Balance:        f.amount("balance", m.GetBalance()),
		Escrowed:       f.amount("escrowed", m.GetEscrowed()),
		Allowance:      f.amount("allowance", m.GetAllowance()),
		Available:      f.amount("available", m.GetAvailable()),
		ChainID:        m.GetChainId(),
		LedgerTime:     instant(m.GetLedgerTime()),
		OperatorID:     f.account("operator_id", m.GetOperatorId()),
		PricePerSecond: f.amount("price_per_second", m.GetPricePerSecond()),
	}, f.err()
}

// Model is a model that some connected miner has.
type Model struct {
	// Name is its full name, tag included.
	Name string `json:"id"`
	// Digests are its manifest digests in use.
	Digests []Hash `json:"digests"`
	// Miners is how many connected miners have it.
	Miners int `json:"miners"`
}

// Models gives the models that can be asked for now, by name.
func (c *Client) Models(ctx context.Context) ([]*Model, error) {
	return collect(func(token string) ([]*coordinatorv1.Model, string, error) {
		answer, err := c.network.ListModels(ctx, &coordinatorv1.ListModelsRequest{PageToken: token})
		return answer.GetData(), answer.GetNextPageToken(), err
	}, modelOf)
}

func modelOf(m *coordinatorv1.Model) (*Model, error) {
	var f fieldReader
	model := &Model{Name: m.GetId(), Miners: int(m.GetMiners()), Digests: []Hash{}}
	for _, digest := range m.GetDigests() {
		model.Digests = append(model.Digests, f.hash("digests", digest))
	}
	return model, f.err()
}

// Miner is a miner with a session at this coordinator.
type Miner struct {
	// ID is its account.
	ID AccountID `json:"miner_id"`
	// Status is connected, unknown (its connection dropped a moment ago) or draining.
	Status string `json:"status"`
	// Stake is its stake; Reputation, 0 to 1, what the scheduler has learnt of it.
	Stake      Amount  `json:"stake"`
	Reputation float64 `json:"reputation"`
	// Slots is how many jobs it runs at once at most, Running how many it runs now.
	Slots   int `json:"slots"`
	Running int `json:"running"`
	// Engine is the engine and its version.
	Engine string `json:"engine"`
	// Models are what it can run, Devices what they run on.
	Models  []MinerModel  `json:"models"`
	Devices []MinerDevice `json:"devices"`
	// ConnectedTime is when its session began.
	ConnectedTime time.Time `json:"connected_at,omitzero"`
	// PullableModels are the full names of the models that it lacks and pulls when a job needs them.
	PullableModels []string `json:"pullable_models,omitempty"`
}

// MinerModel is a model that a miner has.
type MinerModel struct {
	// Name is its full name, Digest its manifest digest.
	Name   string `json:"name"`
	Digest Hash   `json:"digest"`
	// Warm: loaded in memory.
	Warm bool `json:"warm"`
	// SizeBytes is its size.
	SizeBytes int64 `json:"size_bytes"`
	// Slots is how many jobs of it the miner runs at once, at most; 0: as many as it has slots.
	Slots int `json:"slots,omitempty"`
}

// MinerDevice is something of a miner's that computes.
type MinerDevice struct {
	// Name is such as the processor's; Kind is cpu or gpu.
	Name string `json:"name"`
	Kind string `json:"kind"`
	// MemoryBytes is its memory.
	MemoryBytes int64 `json:"memory_bytes"`
}

// Miners gives the miners that the coordinator knows, by id.
func (c *Client) Miners(ctx context.Context) ([]*Miner, error) {
	return collect(func(token string) ([]*coordinatorv1.Miner, string, error) {
		answer, err := c.network.ListMiners(ctx, &coordinatorv1.ListMinersRequest{PageToken: token})
		return answer.GetMiners(), answer.GetNextPageToken(), err
	}, minerOf)
}

func minerOf(m *coordinatorv1.Miner) (*Miner, error) {
	var f fieldReader
	miner := &Miner{
		ID:            f.account("miner_id", m.GetMinerId()),
		Status:        m.GetStatus(),
		Stake:         f.amount("stake", m.GetStake()),
		Reputation:    m.GetReputation(),
		Slots:         int(m.GetSlots()),
		Running:       int(m.GetRunning()),
		Engine:        m.GetEngine(),
		Models:        []MinerModel{},
		Devices:       []MinerDevice{},
		ConnectedTime: instant(m.GetConnectedAt()),

		PullableModels: m.GetPullableModels(),
	}
	for _, model := range m.GetModels() {
		miner.Models = append(miner.Models, MinerModel{
			Name: model.GetName(), Digest: f.hash("models.digest", model.GetDigest()),
			Warm: model.GetWarm(), SizeBytes: model.GetSizeBytes(), Slots: int(model.GetSlots()),
		})
	}
	for _, device := range m.GetDevices() {
		miner.Devices = append(miner.Devices, MinerDevice{
			Name: device.GetName(), Kind: device.GetKind(), MemoryBytes: device.GetMemoryBytes(),
		})
	}
	return miner, f.err()
}

func collect[M, T any](fetch func(token string) ([]M, string, error), read func(M) (T, error)) ([]T, error) {
	list := []T{}
	for item, err := range pages(fetch, read) {
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}
