package replica

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	aitbc "github.com/aitbc/aitbc/clients/go"
	replicav1 "github.com/aitbc/aitbc/gen/go/aitbc/replica/v1"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
	"github.com/aitbc/aitbc/services/internal/rpc"
)

// peer is another replica.
type peer struct {
	store.Replica
	conn *grpc.ClientConn
}

const (
	// aliveAfter and aliveWithin are when a silent connection is tried, and how long that may take: a
	// replica that is paused answers nothing and closes nothing.
	aliveAfter  = 10 * time.Second
	aliveWithin = 3 * time.Second
	// maxAnswer bounds what a replica may answer: a job with its result, or its list of miners.
	maxAnswer = 64 << 20
)

// dial makes the way to a replica; it connects when it is used.
func dial(r store.Replica) (*grpc.ClientConn, error) {
	security := insecure.NewCredentials()
	if !r.CertHash.IsZero() {
		security = credentials.NewTLS(pinned(r.CertHash))
	}
	options := append(rpc.DialOptions(maxAnswer), grpc.WithTransportCredentials(security),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: aliveAfter, Timeout: aliveWithin}))
	conn, err := grpc.NewClient("passthrough:///"+r.Address, options...)
	if err != nil {
		return nil, fmt.Errorf("make a connection to replica %d at %s: %w", r.ID, r.Address, err)
	}
	return conn, nil
}

// pinned accepts the one certificate with this hash: what names it has, and who signed it, says less
// than the database, in which its owner wrote it.
func pinned(hash aitbc.Hash) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyPeerCertificate checks more
		VerifyPeerCertificate: func(certificates [][]byte, _ [][]*x509.Certificate) error {
			if len(certificates) == 0 || sha256.Sum256(certificates[0]) != hash {
				return errors.New("the replica has another certificate than it wrote into the database")
			}
			return nil
		},
	}
}

// others gives the other replicas.
func (m *Member) others() []*peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*peer, 0, len(m.peers))
	for _, p := range m.peers {
		list = append(list, p)
	}
	return list
}

// holder gives the replica that does a duty: nil and false when it is this one, nil and true when
// nobody does or it is not known yet.
func (m *Member) holder(duty int32) (p *peer, elsewhere bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := m.membership.Holders[duty]
	return m.peers[id], id != m.self
}

// Alone reports whether no other replica is known.
func (m *Member) Alone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.peers) == 0 && len(m.membership.Holders) == len(m.membership.Duties)
}

// client gives the way to ask a replica, with a context that bounds the call and carries its token.
func (m *Member) client(ctx context.Context, p *peer) (replicav1.ReplicaServiceClient, context.Context, context.CancelFunc, error) {
	ctx, err := m.withToken(ctx, p.ID)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, m.config.CallTimeout)
	return replicav1.NewReplicaServiceClient(p.conn), ctx, cancel, nil
}

// meet makes the peers those of a membership. Connections to those that have gone are closed.
func (m *Member) meet(next store.Membership) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	here := make(map[int64]bool)
	var faults []error
	for _, r := range next.Replicas {
		here[r.ID] = true
		if r.ID == m.self || m.peers[r.ID] != nil {
			continue
		}
		conn, err := dial(r)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		m.peers[r.ID] = &peer{Replica: r, conn: conn}
	}
	for id, p := range m.peers {
		if !here[id] {
			faults = append(faults, p.conn.Close())
			delete(m.peers, id)
			delete(m.miners, id)
		}
	}
	m.membership = next
	return errors.Join(faults...)
}
