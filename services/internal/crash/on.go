//go:build chaos

package crash

import (
	"os"
	"strings"
	"syscall"
)

// Enabled says that the program was built for tools/chaos.
const Enabled = true

// At ends the process, without any goodbye, when a test wants it to end here.
func At(name string) {
	path := os.Getenv("AITBC_CRASH_FILE")
	if path == "" {
		return
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.TrimSpace(string(text)) != name {
		return
	}
	if os.Remove(path) != nil {
		return // another goroutine is here already
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}

// Planted says that the named fault is planted.
func Planted(name string) bool { return os.Getenv("AITBC_BUG") == name }
