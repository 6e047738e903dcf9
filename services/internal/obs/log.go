package obs

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
)

// SystemLogDir is where the log files are when this process may write there.
const SystemLogDir = "/var/log/aitbc"

// LogConfig says where a service logs to and how.
type LogConfig struct {
	// Name is the file's name without ".log": coordinator, miner or node.
	Name string
	// StateDir is the service's state folder; its "log" folder takes the file when SystemLogDir
	// cannot be written.
	StateDir string
	// Dir, when not empty, is the only folder tried for the file.
	Dir string
	// Format is "text" or "json".
	Format string
	// Level is "debug", "info", "warn" or "error".
	Level string
}

// DefaultLogConfig logs text from info on.
func DefaultLogConfig(name, stateDir string) LogConfig {
	return LogConfig{Name: name, StateDir: stateDir, Format: "text", Level: "info"}
}

// Log is a service's logger with its file.
type Log struct {
	*slog.Logger
	// Path is the file's.
	Path string
	file *os.File
}

// Close closes the file; the logger must not be used after it.
func (l *Log) Close() error { return l.file.Close() }

// NewLogger logs to stderr and, appending, to the service's file. Rotation is the system's: the file
// may be moved away and copied at any time, and truncated.
func NewLogger(cfg LogConfig, stderr io.Writer) (*Log, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		return nil, fmt.Errorf("log level %q: use debug, info, warn or error", cfg.Level)
	}
	if cfg.Format != "text" && cfg.Format != "json" {
		return nil, fmt.Errorf("log format %q: use text or json", cfg.Format)
	}
	file, err := openLogFile(cfg)
	if err != nil {
		return nil, err
	}
	handler := slog.NewMultiHandler(newHandler(cfg.Format, stderr, level), newHandler(cfg.Format, file, level))
	return &Log{Logger: slog.New(handler).With(slog.String(KeyService, cfg.Name)), Path: file.Name(), file: file}, nil
}

func newHandler(format string, w io.Writer, level slog.Level) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

func openLogFile(cfg LogConfig) (*os.File, error) {
	dirs := []string{SystemLogDir, filepath.Join(cfg.StateDir, "log")}
	if cfg.Dir != "" {
		dirs = []string{cfg.Dir}
	}
	var firstErr error
	for _, dir := range dirs {
		file, err := openAppend(filepath.Join(dir, cfg.Name+".log"))
		if err == nil {
			return file, nil
		}
		if firstErr == nil {
			firstErr = err
		}
	}
	return nil, fmt.Errorf("opening the log file: %w", firstErr)
}

func openAppend(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	// Account names and addresses are in it: not for everybody.
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
}
