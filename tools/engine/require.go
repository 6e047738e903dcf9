//go:build unix

package engine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// jsonHeader is the one library that Ollama's sources use for real and its Go module lacks.
const jsonHeader = "nlohmann/json.hpp"

// MissingError says what the build of Ollama needs and this machine lacks.
type MissingError struct {
	What    string // such as "a C++ compiler"
	Package string // Debian's name of the package that has it
	Others  string // the names elsewhere
	Cause   error  // of a failed installation; nil when none was tried
}

func (e *MissingError) Error() string {
	text := fmt.Sprintf("Ollama must be built and %s is missing. On Debian or Ubuntu: apt-get install -y --no-install-recommends %s (%s). "+
		"Or install Ollama itself: one on PATH or at OLLAMA_HOST is used instead", e.What, e.Package, e.Others)
	if e.Cause != nil {
		text += fmt.Sprintf(". Installing it by itself failed: %v", e.Cause)
	}
	return text
}

func (e *MissingError) Unwrap() error { return e.Cause }

// toolchain is the C++ compiler that cgo uses, and how missing parts are installed.
type toolchain struct {
	cxx       []string // command and arguments
	header    string
	installer string // path of apt-get; empty when it may not be used
}

func findToolchain(ctx context.Context) (toolchain, error) {
	out, err := runGroup(exec.CommandContext(ctx, "go", "env", "CXX"))
	if err != nil {
		return toolchain{}, fmt.Errorf("ask the go command for the C++ compiler: %w: %s", err, out)
	}
	t := toolchain{cxx: strings.Fields(string(out)), header: jsonHeader}
	if len(t.cxx) == 0 {
		t.cxx = []string{"c++"}
	}
	if os.Geteuid() == 0 {
		t.installer, _ = exec.LookPath("apt-get") // absent: the error names the package
	}
	return t, nil
}

// require installs what is missing where it may, else says what to install.
func (t toolchain) require(ctx context.Context, tell progress) error {
	parts := []struct {
		present func(context.Context) bool
		missing MissingError
	}{
		{t.hasCompiler, MissingError{What: "a C++ compiler (" + t.cxx[0] + ")", Package: "g++", Others: "Fedora: gcc-c++; macOS: xcode-select --install"}},
		{t.hasHeader, MissingError{What: "the C++ header " + t.header, Package: "nlohmann-json3-dev", Others: "Fedora: json-devel; Arch and Homebrew: nlohmann-json"}},
	}
	for _, part := range parts {
		if part.present(ctx) {
			continue
		}
		missing := part.missing
		if t.installer == "" {
			return &missing
		}
		tell.say("installing %s, which the build of Ollama needs", missing.Package)
		missing.Cause = tell.during("installing "+missing.Package, func() error { return t.install(ctx, missing.Package) })
		if missing.Cause != nil || !part.present(ctx) {
			return &missing
		}
	}
	return nil
}

func (t toolchain) hasCompiler(context.Context) bool {
	_, err := exec.LookPath(t.cxx[0])
	return err == nil
}

// hasHeader lets the compiler look: only it knows its include path.
func (t toolchain) hasHeader(ctx context.Context) bool {
	args := append(append([]string{}, t.cxx[1:]...), "-E", "-x", "c++", "-", "-o", os.DevNull)
	cmd := exec.CommandContext(ctx, t.cxx[0], args...)
	cmd.Stdin = strings.NewReader("#include <" + t.header + ">\n")
	_, err := runGroup(cmd)
	return err == nil
}

func (t toolchain) install(ctx context.Context, name string) error {
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", name}} {
		cmd := exec.CommandContext(ctx, t.installer, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := runGroup(cmd); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, lastBytes(out, 500))
		}
	}
	return nil
}
