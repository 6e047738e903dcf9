package engine

import (
	"io"
	"regexp"
	"sync"
)

// maxTailBytes is how much of a server's log an error can show. The line that
// names the port comes within the first few kilobytes.
const maxTailBytes = 16 << 10

// logTail passes a server's log on to a file, keeps the end of it for error
// messages, and picks out the address that the server listens on.
type logTail struct {
	file      io.Writer
	listening chan string // capacity 1: receives the address once; never closed
	pattern   *regexp.Regexp

	mu    sync.Mutex
	tail  []byte
	found bool
}

func newLogTail(file io.Writer) *logTail {
	return &logTail{
		file:      file,
		listening: make(chan string, 1),
		pattern:   regexp.MustCompile(`Listening on (\S+) \(version`),
	}
}

// Write never fails: a full disk must not end the server.
func (l *logTail) Write(p []byte) (int, error) {
	_, _ = l.file.Write(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	if extra := len(l.tail) - maxTailBytes; extra > 0 {
		l.tail = append(l.tail[:0], l.tail[extra:]...)
	}
	if !l.found {
		if m := l.pattern.FindSubmatch(l.tail); m != nil {
			l.found = true
			l.listening <- string(m[1])
		}
	}
	return len(p), nil
}

// last returns up to n bytes of the log's end.
func (l *logTail) last(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.tail[max(0, len(l.tail)-n):])
}
