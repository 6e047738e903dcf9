package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	apiModule      = "google.golang.org/genproto/googleapis/api"
	rpcModule      = "google.golang.org/genproto/googleapis/rpc"
	validateModule = "github.com/bufbuild/protovalidate"

	// validateRoot is where the protovalidate module keeps its import root.
	validateRoot = "proto/protovalidate"
	validateFile = "buf/validate/validate.proto"

	// downloadTimeout covers three small modules over a slow line.
	downloadTimeout = 5 * time.Minute
)

// printed lists the files that come from descriptors, by the module that has them.
func printed() map[string][]protoreflect.FileDescriptor {
	return map[string][]protoreflect.FileDescriptor{
		apiModule: {
			annotations.File_google_api_annotations_proto,
			annotations.File_google_api_field_behavior_proto,
			annotations.File_google_api_http_proto,
			httpbody.File_google_api_httpbody_proto,
		},
		rpcModule: {
			code.File_google_rpc_code_proto,
			errdetails.File_google_rpc_error_details_proto,
			status.File_google_rpc_status_proto,
		},
	}
}

// collect returns the content of every file of proto/third_party by its import path.
func collect(ctx context.Context) (map[string][]byte, error) {
	files := make(map[string][]byte)
	for path, descriptors := range printed() {
		mod, err := download(ctx, path)
		if err != nil {
			return nil, err
		}
		for _, descriptor := range descriptors {
			content, err := printFile(mod, descriptor)
			if err != nil {
				return nil, err
			}
			files[descriptor.Path()] = content
		}
	}
	mod, err := download(ctx, validateModule)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(mod.Dir, filepath.FromSlash(validateRoot), filepath.FromSlash(validateFile)))
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", validateFile, mod.Path, err)
	}
	files[validateFile] = append(header("Copied", mod), content...)
	return files, nil
}

// printFile turns a descriptor back into source. Comments are not part of a
// descriptor, so the result has none but the header.
func printFile(mod module, file protoreflect.FileDescriptor) ([]byte, error) {
	var out bytes.Buffer
	out.Write(header("Printed", mod))
	printer := protoprint.Printer{}
	if err := printer.PrintProtoFile(file, &out); err != nil {
		return nil, fmt.Errorf("printing %s: %w", file.Path(), err)
	}
	return out.Bytes(), nil
}

func header(how string, mod module) []byte {
	return fmt.Appendf(nil, "// %s by tools/protodeps from %s@%s (Apache License 2.0). DO NOT EDIT.\n\n", how, mod.Path, mod.Version)
}

// module is what `go mod download -json` says about one module.
type module struct {
	Path    string
	Version string
	Dir     string
	Error   string
}

// download brings the module, at the version of this module's go.mod and
// checked against its go.sum, into the module cache.
func download(ctx context.Context, path string) (module, error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", path)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()
	var mod module
	if err := json.Unmarshal(stdout.Bytes(), &mod); err != nil {
		return module{}, fmt.Errorf("downloading %s: %w: %s", path, errors.Join(runErr, err), stderr.Bytes())
	}
	if runErr != nil || mod.Error != "" {
		return module{}, fmt.Errorf("downloading %s: %w: %s", path, errors.Join(runErr, errors.New(mod.Error)), stderr.Bytes())
	}
	return mod, nil
}
