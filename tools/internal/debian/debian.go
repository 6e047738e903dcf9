// Package debian finds the programs that tests need and, where it may, installs them: as root where
// there is apt-get. So a test that needs one never has a reason to be skipped. Start with Program.
package debian

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Program gives the path of a program, and installs the package that has it when there is none.
// Errors: the package that is missing, by name, where it cannot be installed.
func Program(ctx context.Context, name, pkg string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return "", fmt.Errorf("no program %s on PATH: install Debian's package %s, or what your system calls it", name, pkg)
	}
	if err := install(ctx, pkg); err != nil {
		return "", fmt.Errorf("install the package %s for the program %s: %w", pkg, name, err)
	}
	return exec.LookPath(name)
}

func install(ctx context.Context, pkg string) error {
	add := []string{"install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", pkg}
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
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, output[max(0, len(output)-1000):])
	}
	return nil
}
