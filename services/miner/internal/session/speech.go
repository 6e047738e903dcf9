package session

import (
	"maps"
	"slices"
	"sync"
	"time"

	coordinatorv1 "github.com/aitbc/aitbc/gen/go/aitbc/coordinator/v1"
)

// lazyInterval is how often the text of a lease that nobody watches is sent: often enough that who
// begins to watch finds most of it, seldom enough to cost nothing.
const lazyInterval = time.Second

// maxDemands bounds the leases whose text was asked for and not looked at yet. No miner runs more.
const maxDemands = 256

// telling is how much of a lease's text this session has sent.
type telling struct {
	sent int64
	// eager: somebody watches, so each piece leaves as soon as it is there.
	eager bool
}

// demands are the coordinator's requests for text, on their way from the listener to the sender. Of
// two for one lease the later counts.
type demands struct {
	wake chan struct{} // holds one

	mu   sync.Mutex
	from map[string]int64
}

func newDemands() *demands {
	return &demands{wake: make(chan struct{}, 1), from: map[string]int64{}}
}

func (d *demands) add(request *coordinatorv1.ChunkRequest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.from) >= maxDemands {
		return
	}
	d.from[request.GetLeaseId()] = request.GetFromOffset()
	select {
	case d.wake <- struct{}{}:
	default: // the sender will look anyway
	}
}

func (d *demands) take() map[string]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := d.from
	d.from = map[string]int64{}
	return taken
}

// takeDemands makes the asked for leases eager.
func (t *talk) takeDemands() {
	for id, from := range t.demands.take() {
		t.texts[id] = &telling{sent: from, eager: true}
	}
}

// forgetTexts drops what was kept for leases that have ended. The report is newer than every demand
// that was taken before it was made, so none is dropped for a lease that has just begun.
func (t *talk) forgetTexts(running []string) {
	maps.DeleteFunc(t.texts, func(id string, _ *telling) bool { return !slices.Contains(running, id) })
}

// tellTexts sends what the running leases have said since they were last told of: of the eager ones,
// or of all. What the engine says while the line is busy is gathered and sent at once afterwards.
func (t *talk) tellTexts(all bool) error {
	if all {
		for _, id := range t.state.GetRunningLeaseIds() {
			if t.texts[id] == nil {
				t.texts[id] = &telling{}
			}
		}
	}
	for id, told := range t.texts {
		if !all && !told.eager && !(t.progress && t.worker.ProgressDue(t.op, id)) {
			continue
		}
		if err := t.tellText(id, told); err != nil {
			return err
		}
	}
	return nil
}

func (t *talk) tellText(id string, told *telling) error {
	for {
		text := t.worker.Said(t.op, id, told.sent)
		if text == "" {
			return t.tellProgress(id, told)
		}
		chunk := &coordinatorv1.AttemptChunk{LeaseId: id, Offset: told.sent, Text: text}
		if err := t.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptChunk{AttemptChunk: chunk}}); err != nil {
			return err
		}
		told.sent += int64(len(text))
	}
}

// tellProgress signs for what was told, when it is time to.
func (t *talk) tellProgress(id string, told *telling) error {
	if !t.progress {
		return nil
	}
	progress := t.worker.Progress(t.op, id, told.sent)
	if progress == nil {
		return nil
	}
	return t.send(&coordinatorv1.ConnectRequest{Frame: &coordinatorv1.ConnectRequest_AttemptProgress{AttemptProgress: progress}})
}
