package claim

import (
	"context"
	"crypto/ed25519"
	"fmt"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// Node is a ledger node as a claimer sees it.
type Node struct {
	client ledgerv1.LedgerServiceClient
	wallet *aitbc.Wallet
}

var _ Ledger = (*Node)(nil)

// NewNode makes it of a client, which stays the caller's to close, and a miner's key.
func NewNode(client ledgerv1.LedgerServiceClient, key ed25519.PrivateKey) *Node {
	public, _ := key.Public().(ed25519.PublicKey) // it is no other type
	return &Node{client: client, wallet: aitbc.NewWallet(client, aitbc.AccountOf(public), key)}
}

// Job implements Ledger.
func (n *Node) Job(ctx context.Context, job aitbc.JobID, operator aitbc.AccountID) (*ledgerv1.GetJobResponse, error) {
	answer, err := n.client.GetJob(ctx, &ledgerv1.GetJobRequest{JobId: job.String(), OperatorId: operator.String()})
	if err != nil {
		return nil, fmt.Errorf("read job %s: %w", job, err)
	}
	return answer, nil
}

// Send implements Ledger.
func (n *Node) Send(ctx context.Context, message *ledgerv1.Message) error {
	_, err := n.wallet.Send(ctx, message)
	return err
}
