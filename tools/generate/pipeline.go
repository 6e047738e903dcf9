package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/aitbc/aitbc/tools/internal/toolbin"
)

// Paths inside the tree, with slashes. Whatever is in thirdParty, gen/go and
// gen/openapi is made here.
const (
	contracts  = "proto/aitbc"
	thirdParty = "proto/third_party"
	released   = "proto/released.binpb"
)

type options struct {
	root    string
	check   bool
	release bool
	out     io.Writer
}

// session is one run: where output is gathered and where the tools are.
type session struct {
	options
	work       string
	bufProgram string
	path       string
}

// generate runs all steps in the order in which their findings are useful.
func generate(ctx context.Context, opts options) error {
	work, err := os.MkdirTemp("", "aitbc-generate-")
	if err != nil {
		return fmt.Errorf("making a work folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	s := session{options: opts, work: work}
	if err := s.findTools(ctx); err != nil {
		return err
	}
	if err := s.thirdParty(ctx); err != nil {
		return err
	}
	if err := s.judge(ctx); err != nil {
		return err
	}
	if err := s.buf(ctx, "generate", "--output", work); err != nil {
		return err
	}
	if err := writeEmbed(filepath.Join(work, "gen", "openapi")); err != nil {
		return err
	}
	if err := s.settle("gen/go"); err != nil {
		return err
	}
	return s.settle("gen/openapi")
}

// findTools builds what is not built yet. The plugins go on the PATH of this
// run's commands: buf.gen.yaml names them without a folder.
func (s *session) findTools(ctx context.Context) error {
	bufDir, err := toolbin.Build(ctx, filepath.Join(s.root, "tools", "buf"), s.out)
	if err != nil {
		return err
	}
	plugins, err := toolbin.Build(ctx, filepath.Join(s.root, "tools", "protoc"), s.out)
	if err != nil {
		return err
	}
	s.bufProgram = filepath.Join(bufDir, "buf")
	s.path = plugins + string(os.PathListSeparator) + os.Getenv("PATH")
	return nil
}

// thirdParty renews proto/third_party. It is settled before anything else,
// because a wrong file there shows later as a baffling complaint of a plugin.
func (s *session) thirdParty(ctx context.Context) error {
	dir := filepath.Join(s.root, "tools", "protodeps")
	if err := s.command(ctx, dir, "go", "run", ".", "-out", filepath.Join(s.work, thirdParty)); err != nil {
		return err
	}
	return s.settle(thirdParty)
}

// judge holds the contracts to their rules. Formatting is repaired unless only
// a check was asked for.
func (s *session) judge(ctx context.Context) error {
	format := []string{"format", "--path", contracts}
	if s.check {
		format = append(format, "--diff", "--exit-code")
	} else {
		format = append(format, "--write")
	}
	if err := s.buf(ctx, format...); err != nil {
		return err
	}
	if err := s.buf(ctx, "lint"); err != nil {
		return err
	}
	return s.guardRelease(ctx)
}

// guardRelease compares with the released contract, or replaces it. Both sides
// are images: a folder of two modules cannot be compared with one image.
func (s *session) guardRelease(ctx context.Context) error {
	if s.release {
		return s.buf(ctx, "build", "--path", contracts, "--exclude-source-info", "--output", released)
	}
	present := filepath.Join(s.work, "present.binpb")
	if err := s.buf(ctx, "build", "--path", contracts, "--output", present); err != nil {
		return err
	}
	if err := s.buf(ctx, "breaking", present, "--against", released, "--exclude-imports"); err != nil {
		return fmt.Errorf("comparing with the released contract (to break it on purpose: -release): %w", err)
	}
	return nil
}

// settle lays one generated folder over the tree, or says how they differ.
func (s *session) settle(dir string) error {
	changes, err := compare(filepath.Join(s.work, dir), filepath.Join(s.root, dir))
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return nil
	}
	if !s.check {
		return apply(changes)
	}
	var list strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&list, "\n\t%s %s/%s", c.kind, dir, c.name)
	}
	return fmt.Errorf("%s is not what the contracts give; run `make generate` and commit the result:%s", dir, list.String())
}

func (s *session) buf(ctx context.Context, args ...string) error {
	return s.command(ctx, s.root, s.bufProgram, args...)
}

// command runs a tool whose findings a person should read as they are.
func (s *session) command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+s.path, "GOWORK=off")
	cmd.Stdout, cmd.Stderr = s.out, s.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return nil
}
