// Command gen writes docs/errors.md from the comments of enum ErrorReason and the table in package
// apierr. Run it from the project's root; a test fails when the page is stale.
//
// Start reading at render.
package main

import (
	"fmt"
	"os"
)

const (
	protoFile = "proto/aitbc/coordinator/v1/error.proto"
	pageFile  = "docs/errors.md"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	source, err := os.ReadFile(protoFile)
	if err != nil {
		return fmt.Errorf("reading the enum (run this from the project's root): %w", err)
	}
	page, err := render(source)
	if err != nil {
		return err
	}
	if err := os.WriteFile(pageFile, page, 0o644); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
