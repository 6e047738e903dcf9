package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// ErrNoBinaries says that there is no Postgres server on this machine.
var ErrNoBinaries = errors.New("no Postgres server is installed")

// programs are what a cluster needs; a folder without all of them does not count.
var programs = []string{"initdb", "postgres"}

// Find gives the folder with the server's programs: the one that PATH leads to, else the newest
// that Debian keeps aside. Errors: ErrNoBinaries.
func Find() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil && isComplete(filepath.Dir(real)) {
			return filepath.Dir(real), nil
		}
	}
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", fmt.Errorf("look for Postgres: %w", err)
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(major(b), major(a)) })
	for _, dir := range dirs {
		if isComplete(dir) {
			return dir, nil
		}
	}
	return "", ErrNoBinaries
}

func isComplete(dir string) bool {
	for _, name := range programs {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// major gives the version in a path such as /usr/lib/postgresql/15/bin; 0: there is none.
func major(dir string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return n
}

// Ensure gives the folder with the server's programs and installs them when there are none: as root
// where there is apt-get. Elsewhere the error names what to install.
func Ensure(ctx context.Context) (string, error) {
	dir, err := Find()
	if !errors.Is(err, ErrNoBinaries) {
		return dir, err
	}
	if _, lookErr := exec.LookPath("apt-get"); lookErr != nil || os.Geteuid() != 0 {
		return "", fmt.Errorf("%w: install the package postgresql (Debian, Ubuntu: apt-get install postgresql; "+
			"Fedora: postgresql-server; macOS: brew install postgresql), or put initdb on PATH", err)
	}
	if err := install(ctx); err != nil {
		return "", fmt.Errorf("install the package postgresql: %w", err)
	}
	return Find()
}

// install installs the server without the cluster that Debian's package would make and start.
func install(ctx context.Context) error {
	const settings = "/etc/postgresql-common/createcluster.conf"
	if _, err := os.Stat(settings); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(settings), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(settings, []byte("create_main_cluster = false\n"), 0o644); err != nil {
			return err
		}
	}
	// --force-confold: the settings above are kept without a question.
	add := []string{"install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Options::=--force-confold", "postgresql"}
	if aptGet(ctx, add...) == nil {
		return nil
	}
	if err := aptGet(ctx, "update"); err != nil { // without lists of packages, as in an image
		return err
	}
	return aptGet(ctx, add...)
}

func aptGet(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, "apt-get", args...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, tail(output, 1000))
	}
	return nil
}

func tail(text []byte, most int) []byte { return text[max(0, len(text)-most):] }
