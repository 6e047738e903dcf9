package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	aitbc "github.com/aitbc/aitbc/clients/go"
	"github.com/aitbc/aitbc/tools/devnet/network"
)

// startNetwork starts a network of its own in front of the engine at url. stop ends it and forgets
// its state.
func startNetwork(ctx context.Context, o options, url string) (client *aitbc.Client, stop func() error, err error) {
	_, client, stop, err = startWhole(ctx, o, url)
	return client, stop, err
}

// startWhole is startNetwork for who needs the network's addresses too.
func startWhole(ctx context.Context, o options, url string) (n *network.Network, client *aitbc.Client, stop func() error, err error) {
	state, err := os.MkdirTemp("", "aitbc-bench-")
	if err != nil {
		return nil, nil, nil, err
	}
	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	n, err = network.Start(starting, network.Options{
		Program: filepath.Join(o.bin, "aitbcd"), State: state, EngineURL: url,
		Args: []string{"--rate-limit", "0", "--log-dir", filepath.Join(state, "log")},
	})
	if err != nil {
		return nil, nil, nil, errors.Join(err, os.RemoveAll(state))
	}
	client, err = aitbc.New(n.CoordinatorGRPC, aitbc.WithAPIKey(devKey))
	if err != nil {
		return nil, nil, nil, errors.Join(err, n.Stop(), os.RemoveAll(state))
	}
	return n, client, func() error { return errors.Join(client.Close(), n.Stop(), os.RemoveAll(state)) }, nil
}
