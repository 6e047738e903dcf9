package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

const (
	// snapshotPartBytes is the size of a snapshot's parts; CometBFT takes up to 16 MB.
	snapshotPartBytes = 1 << 20
	// maxSnapshotParts bounds what a stranger's snapshot may need in memory.
	maxSnapshotParts = 4_096
	// newestSnapshots are on offer; one that somebody takes stays servedFor, of the chain's time, after it was asked
	// for last, which is longer than CometBFT waits for a part. There are no more than mostSnapshots.
	newestSnapshots = 2
	servedFor       = 3 * time.Minute
	mostSnapshots   = 8
)

// snapshots are states that other nodes may join from. A state never changes, so that keeping one
// costs only what has changed since; it is encoded when somebody asks.
type snapshots struct {
	every int64

	mu      sync.Mutex
	kept    []*snapshot // the newest last
	encoded *snapshot   // the one whose parts were asked for last; the parts of others are made again
}

// snapshot is a state on offer.
type snapshot struct {
	*state.State
	// asked is the time of the chain's last snapshot when it was asked for last.
	asked time.Time
	// metadata is the hashes of its parts; nil: nobody has asked yet.
	metadata []byte
	parts    [][]byte
}

// offer keeps a state when its height is one to be kept.
func (s *snapshots) offer(st *state.State) {
	if s.every == 0 || st.Height() == 0 || st.Height()%s.every != 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	older := max(0, len(s.kept)-newestSnapshots+1)
	served := slices.DeleteFunc(slices.Clone(s.kept[:older]), func(o *snapshot) bool { return st.BlockTime().Sub(o.asked) > servedFor })
	served = served[max(0, len(served)+newestSnapshots-mostSnapshots):]
	s.kept = append(slices.Concat(served, s.kept[older:]), &snapshot{State: st})
}

// oldest gives the height of the oldest on offer; 0: there is none.
func (s *snapshots) oldest() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == 0 {
		return 0
	}
	return s.kept[0].Height()
}

// list gives what is on offer, without the parts. Whoever asks begins with the newest.
func (s *snapshots) list() []*abci.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*abci.Snapshot
	for i, o := range s.kept {
		if o.metadata == nil {
			s.encode(o)
		}
		if i == len(s.kept)-1 {
			o.asked = o.BlockTime()
		}
		hash := sha256.Sum256(o.metadata)
		list = append(list, &abci.Snapshot{
			Height: uint64(o.Height()), Format: state.SnapshotFormat,
			Chunks: uint32(len(o.metadata) / sha256.Size), Hash: hash[:], Metadata: o.metadata,
		})
	}
	return list
}

// part gives one part; nil when the snapshot is not kept any more.
func (s *snapshots) part(height uint64, format, index uint32) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.kept {
		if uint64(o.Height()) != height || format != state.SnapshotFormat {
			continue
		}
		o.asked = s.kept[len(s.kept)-1].BlockTime()
		if s.encode(o); int(index) < len(o.parts) {
			return o.parts[index]
		}
	}
	return nil
}

// encode makes the parts, and lets go of those of another snapshot.
func (s *snapshots) encode(o *snapshot) {
	if s.encoded == o {
		return
	}
	if s.encoded != nil {
		s.encoded.parts = nil
	}
	s.encoded = o
	o.parts, o.metadata = o.Snapshot(snapshotPartBytes), nil
	for _, part := range o.parts {
		hash := sha256.Sum256(part)
		o.metadata = append(o.metadata, hash[:]...)
	}
}

// restoring is a snapshot on its way in.
type restoring struct {
	snapshot *abci.Snapshot
	appHash  []byte
	parts    [][]byte
}

// ListSnapshots implements abci.Application.
func (a *App) ListSnapshots(context.Context, *abci.RequestListSnapshots) (*abci.ResponseListSnapshots, error) {
	return &abci.ResponseListSnapshots{Snapshots: a.snapshots.list()}, nil
}

// LoadSnapshotChunk implements abci.Application.
func (a *App) LoadSnapshotChunk(_ context.Context, req *abci.RequestLoadSnapshotChunk) (*abci.ResponseLoadSnapshotChunk, error) {
	return &abci.ResponseLoadSnapshotChunk{Chunk: a.snapshots.part(req.Height, req.Format, req.Chunk)}, nil
}

// OfferSnapshot implements abci.Application. The app hash is the light client's: it is trusted,
// all else of a snapshot is a stranger's word.
func (a *App) OfferSnapshot(_ context.Context, req *abci.RequestOfferSnapshot) (*abci.ResponseOfferSnapshot, error) {
	s := req.Snapshot
	switch hash := sha256.Sum256(s.GetMetadata()); {
	case s.GetFormat() != state.SnapshotFormat:
		return &abci.ResponseOfferSnapshot{Result: abci.ResponseOfferSnapshot_REJECT_FORMAT}, nil
	case s.Chunks == 0 || s.Chunks > maxSnapshotParts || len(s.Metadata) != int(s.Chunks)*sha256.Size || !bytes.Equal(hash[:], s.Hash):
		return &abci.ResponseOfferSnapshot{Result: abci.ResponseOfferSnapshot_REJECT}, nil
	}
	a.restoring = &restoring{snapshot: s, appHash: req.AppHash}
	return &abci.ResponseOfferSnapshot{Result: abci.ResponseOfferSnapshot_ACCEPT}, nil
}

// ApplySnapshotChunk implements abci.Application.
func (a *App) ApplySnapshotChunk(ctx context.Context, req *abci.RequestApplySnapshotChunk) (_ *abci.ResponseApplySnapshotChunk, err error) {
	defer a.halt("apply snapshot", &err)
	r := a.restoring
	if r == nil || int(req.Index) != len(r.parts) {
		return nil, errors.New("a part that was not asked for")
	}
	hash := sha256.Sum256(req.Chunk)
	if !bytes.Equal(hash[:], r.snapshot.Metadata[len(r.parts)*sha256.Size:][:sha256.Size]) {
		return &abci.ResponseApplySnapshotChunk{
			Result: abci.ResponseApplySnapshotChunk_RETRY, RefetchChunks: []uint32{req.Index}, RejectSenders: []string{req.Sender},
		}, nil
	}
	r.parts = append(r.parts, req.Chunk)
	if len(r.parts) < int(r.snapshot.Chunks) {
		return &abci.ResponseApplySnapshotChunk{Result: abci.ResponseApplySnapshotChunk_ACCEPT}, nil
	}
	a.restoring = nil
	st, err := state.DecodeSnapshot(r.parts)
	if err == nil {
		err = r.matches(st)
	}
	if err != nil {
		a.deps.Logger.WarnContext(ctx, "snapshot refused", slog.Uint64(obs.KeyHeight, r.snapshot.Height), slog.Any(obs.KeyError, err))
		return &abci.ResponseApplySnapshotChunk{Result: abci.ResponseApplySnapshotChunk_REJECT_SNAPSHOT}, nil
	}
	if err := a.takeUp(st); err != nil {
		return nil, err
	}
	a.deps.Logger.InfoContext(ctx, "joined by a snapshot", slog.Int64(obs.KeyHeight, st.Height()))
	return &abci.ResponseApplySnapshotChunk{Result: abci.ResponseApplySnapshotChunk_ACCEPT}, nil
}

// matches holds a restored state to what the light client knows.
func (r *restoring) matches(st *state.State) error {
	hash := st.AppHash()
	if uint64(st.Height()) != r.snapshot.Height || !bytes.Equal(hash[:], r.appHash) {
		return fmt.Errorf("it is of height %d and hash %x, want %d and %x", st.Height(), hash, r.snapshot.Height, r.appHash)
	}
	return nil
}

// takeUp puts a restored state on disk and goes on from it.
func (a *App) takeUp(st *state.State) error {
	if err := a.deps.Store.Replace(st); err != nil {
		return err
	}
	if err := a.deps.History.Begin(st); err != nil {
		return err
	}
	a.publish(st)
	return nil
}
