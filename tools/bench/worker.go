package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"sync"
	"time"

	aitbc "github.com/aitbc/aitbc/clients/go"
	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
	"github.com/aitbc/aitbc/tools/evilminer"
)

const (
	// workerModel is the model of a worker, which is none.
	workerModel = "none:latest"
	// workerBeat is how often a worker says that it is there.
	workerBeat = 5 * time.Second
)

// worker is a miner without an engine: it speaks the miners' protocol over a real stream and answers
// each lease at once with the same text, signed as any answer is.
type worker struct {
	miner  *evilminer.Miner
	slots  int32
	answer string
	// leased is told when each lease has come; nil: nobody is.
	leased func(id aitbc.JobID, at time.Time)
	// accepted is told of each accepted result, which is durable then.
	accepted func(id aitbc.JobID)

	sending sync.Mutex
}

// startWorker connects a worker. It works until it is closed or ctx ends.
func startWorker(ctx context.Context, address string, key ed25519.PrivateKey, w *worker) (ended <-chan error, err error) {
	if w.miner, err = evilminer.Connect(ctx, address, key, workerModel, nil); err != nil {
		return nil, err
	}
	if err := w.beat(); err != nil {
		return nil, err
	}
	end := make(chan error, 1)
	go func() {
		defer close(end)
		end <- w.work()
	}()
	go func() {
		tick := time.NewTicker(workerBeat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if w.beat() != nil {
					return // work hears of it too
				}
			}
		}
	}()
	return end, nil
}

// beat says what the worker has; it runs nothing for longer than a moment.
func (w *worker) beat() error {
	w.sending.Lock()
	defer w.sending.Unlock()
	return w.miner.Offer(w.slots, workerModel)
}

func (w *worker) work() error {
	for {
		frame, err := w.miner.Receive()
		if err != nil {
			return err
		}
		switch {
		case frame.GetLease() != nil:
			if err := w.do(frame.GetLease()); err != nil {
				return err
			}
		case frame.GetResultAcceptance() != nil:
			id, _, err := aitbc.ParseLeaseID(frame.GetResultAcceptance().GetLeaseId())
			if err != nil {
				return err
			}
			w.accepted(id)
		case frame.GetLeaseRevocation() != nil:
			return fmt.Errorf("a lease was revoked: %s", frame.GetLeaseRevocation().GetReason())
		}
	}
}

func (w *worker) do(lease *coordinatorv1.Lease) error {
	at := time.Now()
	statement, err := w.miner.Statement(lease, w.answer)
	if err != nil {
		return err
	}
	if w.leased != nil {
		w.leased(statement.JobID, at)
	}
	w.sending.Lock()
	defer w.sending.Unlock()
	return w.miner.Tell(w.miner.Result(lease.GetLeaseId(), w.answer, statement))
}
