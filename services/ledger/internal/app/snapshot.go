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

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/aitbc/aitbc/services/internal/obs"
	"github.com/aitbc/aitbc/services/ledger/internal/state"
)

const (
	// snapshotPartBytes is the size of a snapshot's parts; CometBFT takes up to 16 MB.
	snapshotPartBytes = 1 << 20
	// maxSnapshotParts bounds what a stranger's snapshot may need in memory.
	maxSnapshotParts = 4_096
	// keptSnapshots is how many are on offer: whoever began with one can finish while the next is made.
	keptSnapshots = 2
)

// snapshots are states that other nodes may join from. A state never changes, so that keeping one
// costs only what has changed since; it is encoded when somebody asks.
type snapshots struct {
	every int64

	mu      sync.Mutex
	kept    []*state.State // the newest last
	encoded *snapshot      // the one that was asked for last
}

// snapshot is an encoded state. Its metadata is the hashes of its parts.
type snapshot struct {
	height   int64
	parts    [][]byte
	metadata []byte
}

// offer keeps a state when its height is one to be kept.
func (s *snapshots) offer(st *state.State) {
	if s.every == 0 || st.Height() == 0 || st.Height()%s.every != 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, st)
	s.kept = slices.Delete(s.kept, 0, max(0, len(s.kept)-keptSnapshots))
}

// list gives the encoded snapshots without their parts.
func (s *snapshots) list() []*abci.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*abci.Snapshot
	for _, st := range s.kept {
		encoded := s.encode(st)
		hash := sha256.Sum256(encoded.metadata)
		list = append(list, &abci.Snapshot{
			Height: uint64(st.Height()), Format: state.SnapshotFormat,
			Chunks: uint32(len(encoded.parts)), Hash: hash[:], Metadata: encoded.metadata,
		})
	}
	return list
}

// part gives one part; nil when the snapshot is not kept any more.
func (s *snapshots) part(height uint64, format, index uint32) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.kept {
		if uint64(st.Height()) != height || format != state.SnapshotFormat {
			continue
		}
		if parts := s.encode(st).parts; int(index) < len(parts) {
			return parts[index]
		}
	}
	return nil
}

func (s *snapshots) encode(st *state.State) *snapshot {
	if s.encoded == nil || s.encoded.height != st.Height() {
		s.encoded = &snapshot{height: st.Height(), parts: st.Snapshot(snapshotPartBytes)}
		for _, part := range s.encoded.parts {
			hash := sha256.Sum256(part)
			s.encoded.metadata = append(s.encoded.metadata, hash[:]...)
		}
	}
	return s.encoded
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
