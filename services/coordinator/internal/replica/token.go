package replica

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/services/coordinator/internal/auth"
	"github.com/aitbc/aitbc/services/coordinator/internal/store"
)

const (
	// tokenTag begins what is signed, so that it can pass for nothing else that an operator signs.
	tokenTag = "aitbc/replica-call/v1\n"
	// tokenLife is how long a token is good: the clocks of two replicas may differ by half of it.
	tokenLife = 20 * time.Second
)

// claims are what a token says.
type claims struct {
	// Chain and To name the network and the called replica, which is a run of a process: a token is
	// of no use anywhere else.
	Chain string `json:"chain"`
	To    int64  `json:"to"`
	// From is who calls; From and Until bound its life, Unix microseconds.
	From  int64 `json:"from"`
	Since int64 `json:"since_us"`
	Until int64 `json:"until_us"`
	// KeyID, Scope and Account are whose call is passed on; empty: the replica's own.
	KeyID   string          `json:"key_id,omitempty"`
	Scope   store.Scope     `json:"scope,omitempty"`
	Account aitbc.AccountID `json:"account,omitzero"`
}

// token signs a token for a call to the replica with this id, which passes a principal on, if there is
// one in ctx.
func (m *Member) token(ctx context.Context, to int64) (string, error) {
	now := time.Now()
	c := claims{
		Chain: m.deps.ChainID, To: to, From: m.self, Since: now.Add(-tokenLife / 2).UnixMicro(), Until: now.Add(tokenLife / 2).UnixMicro(),
	}
	if who, ok := auth.From(ctx); ok {
		c.KeyID, c.Scope, c.Account = who.KeyID, who.Scope, who.Account
	}
	body, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	signature := aitbc.Sign(m.deps.Key, append([]byte(tokenTag), body...))
	return base64.RawURLEncoding.EncodeToString(body) + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// withToken gives the context of a call to a replica.
func (m *Member) withToken(ctx context.Context, to int64) (context.Context, error) {
	token, err := m.token(ctx, to)
	if err != nil {
		return nil, err
	}
	return metadata.NewOutgoingContext(ctx, metadata.Pairs(auth.ReplicaHeader, token)), nil
}

var errToken = errors.New("it is not a token of this operator for this replica, or its time is over")

// Verify implements auth.Replicas.
func (m *Member) Verify(token string, now time.Time) (auth.Principal, error) {
	bodyText, signatureText, _ := strings.Cut(token, ".")
	body, err := base64.RawURLEncoding.DecodeString(bodyText)
	if err != nil {
		return auth.Principal{}, errToken
	}
	signature, err := base64.RawURLEncoding.DecodeString(signatureText)
	if err != nil || !aitbc.Verify(m.deps.Key.Public().(ed25519.PublicKey), append([]byte(tokenTag), body...), signature) {
		return auth.Principal{}, errToken
	}
	var c claims
	if err := json.Unmarshal(body, &c); err != nil {
		return auth.Principal{}, errToken
	}
	at := now.UnixMicro()
	if c.Chain != m.deps.ChainID || c.To != m.self || at < c.Since || at > c.Until {
		return auth.Principal{}, errToken
	}
	return auth.Principal{KeyID: c.KeyID, Scope: c.Scope, Account: c.Account}, nil
}
