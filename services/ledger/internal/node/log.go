package node

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/libs/service"
)

// cometLog writes CometBFT's log to ours. Its info is our debug: it writes several lines a block.
// While the node stops, its errors are too: they tell of connections that we close.
type cometLog struct {
	logger   *slog.Logger
	stopping *atomic.Bool
	// stranded gets the first error that leaves a joining node without a state for good; capacity 1.
	stranded chan error
}

func newCometLog(logger *slog.Logger) cometLog {
	return cometLog{logger: logger, stopping: &atomic.Bool{}, stranded: make(chan error, 1)}
}

var _ log.Logger = cometLog{}

// Debug implements log.Logger; it says nothing, as it would fill any disk.
func (l cometLog) Debug(string, ...any) {}

// Info implements log.Logger.
func (l cometLog) Info(msg string, keyvals ...any) { l.write(slog.LevelDebug, msg, keyvals) }

// Warn implements log.Logger.
func (l cometLog) Warn(msg string, keyvals ...any) { l.write(slog.LevelWarn, msg, keyvals) }

// Error implements log.Logger.
func (l cometLog) Error(msg string, keyvals ...any) {
	level := slog.LevelError
	if harmless(keyvals) {
		level = slog.LevelDebug
	}
	l.write(level, msg, keyvals)
	if strandings[msg] {
		select {
		case l.stranded <- fmt.Errorf("%s: %v", msg, keyvals):
		default: // the first one says why
		}
	}
}

// strandings are what CometBFT says when it gives up joining by a snapshot. It says so to its log only, and the
// node would wait for ever.
var strandings = map[string]bool{
	"State sync failed":                       true,
	"Failed to bootstrap node with new state": true,
	"Failed to store last seen commit":        true,
	"Failed to switch to block sync":          true,
}

// harmless tells the error of stopping something twice: CometBFT stops every websocket connection
// once more when its reader has ended, which is whenever a subscriber leaves.
func harmless(keyvals []any) bool {
	for _, value := range keyvals {
		if err, ok := value.(error); ok && errors.Is(err, service.ErrAlreadyStopped) {
			return true
		}
	}
	return false
}

// With implements log.Logger.
func (l cometLog) With(keyvals ...any) log.Logger {
	l.logger = l.logger.With(attrs(keyvals)...)
	return l
}

func (l cometLog) write(level slog.Level, msg string, keyvals []any) {
	if l.stopping.Load() {
		level = slog.LevelDebug
	}
	switch {
	case level >= slog.LevelError:
		l.logger.Error("cometbft: "+msg, attrs(keyvals)...)
	case level >= slog.LevelWarn:
		l.logger.Warn("cometbft: "+msg, attrs(keyvals)...)
	default:
		l.logger.Debug("cometbft: "+msg, attrs(keyvals)...)
	}
}

// attrs makes attributes of CometBFT's alternating keys and values, of which the keys are any and
// a last value may be missing.
func attrs(keyvals []any) []any {
	list := make([]any, 0, len(keyvals)/2+1)
	for i := 0; i < len(keyvals); i += 2 {
		var value any = "(missing)"
		if i+1 < len(keyvals) {
			value = keyvals[i+1]
		}
		list = append(list, slog.Any(fmt.Sprint(keyvals[i]), lazy{value}))
	}
	return list
}

// lazy turns a value into text only when a line is really written.
type lazy struct{ value any }

// LogValue implements slog.LogValuer.
func (l lazy) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(l.value)) }
