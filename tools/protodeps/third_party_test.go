package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	validate "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/bufbuild/protocompile"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

const thirdParty = "../../proto/third_party"

// linked returns the descriptors that the project's binaries carry for the
// files in proto/third_party.
func linked() []protoreflect.FileDescriptor {
	files := []protoreflect.FileDescriptor{validate.File_buf_validate_validate_proto}
	for _, some := range printed() {
		files = append(files, some...)
	}
	return files
}

// A file that is newer or older than the Go code linked for it would make the
// contract say one thing and the servers do another.
func TestThirdPartyMatchesGoCode(t *testing.T) {
	t.Parallel()
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{thirdParty}}),
	}
	for _, want := range linked() {
		t.Run(want.Path(), func(t *testing.T) {
			t.Parallel()
			compiled, err := compiler.Compile(t.Context(), want.Path())
			require.NoError(t, err)
			require.Equal(t, normal(t, want), normal(t, compiled[0]))
		})
	}
}

// normal re-reads the descriptor through the linked extensions, so that options
// are compared by meaning and not by how a compiler happened to order bytes.
func normal(t *testing.T, file protoreflect.FileDescriptor) string {
	t.Helper()
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(protodesc.ToFileDescriptorProto(file))
	require.NoError(t, err)
	message := &descriptorpb.FileDescriptorProto{}
	require.NoError(t, proto.Unmarshal(wire, message))
	wire, err = proto.MarshalOptions{Deterministic: true}.Marshal(message)
	require.NoError(t, err)
	return string(wire)
}

func TestCollectGivesWhatIsInTheTree(t *testing.T) {
	t.Parallel()
	files, err := collect(t.Context())
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, write(dir, files))
	require.NoError(t, filepath.WalkDir(thirdParty, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(thirdParty, path)
		require.NoError(t, err)
		require.Contains(t, files, filepath.ToSlash(name))
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(files[filepath.ToSlash(name)]), string(content))
		delete(files, filepath.ToSlash(name))
		return nil
	}))
	require.Empty(t, files, "files that the tree lacks")
}

// The main module links the Go code of these files, this one prints them.
func TestVersionsEqualThoseOfTheMainModule(t *testing.T) {
	t.Parallel()
	here, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	main, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	for _, path := range []string{
		apiModule, rpcModule, "google.golang.org/protobuf",
		"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go",
	} {
		line := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(path) + ` (\S+)`)
		want, have := line.FindSubmatch(main), line.FindSubmatch(here)
		require.NotNil(t, want, "the main module does not require %s", path)
		require.NotNil(t, have, "this module does not require %s", path)
		require.Equal(t, string(want[1]), string(have[1]), path)
	}
}
