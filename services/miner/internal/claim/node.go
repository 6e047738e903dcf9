package claim

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	aitbc "github.com/aitbc/aitbc/clients/go"
	ledgerv1 "github.com/aitbc/aitbc/gen/go/aitbc/ledger/v1"
)

// Node is a ledger node, asked over gRPC without TLS: what is sent is signed and public, and a node
// that lies about a job can at worst keep the miner from its pay, which silence does too.
type Node struct {
	connection *grpc.ClientConn
	client     ledgerv1.LedgerServiceClient
	wallet     *aitbc.Wallet
}

var _ Ledger = (*Node)(nil)

// Dial gives the node at an address of LedgerService, for a miner's key. It connects when it is first
// used; Close must be called.
func Dial(address string, key ed25519.PrivateKey) (*Node, error) {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("ledger address %q: %w", address, err)
	}
	client := ledgerv1.NewLedgerServiceClient(connection)
	public, _ := key.Public().(ed25519.PublicKey) // it is no other type
	return &Node{connection: connection, client: client, wallet: aitbc.NewWallet(client, aitbc.AccountOf(public), key)}, nil
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

// Close lets go of the connection.
func (n *Node) Close() error { return n.connection.Close() }
