package proc

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
)

// commands are the binaries by name: module folder and package.
var commands = map[string][2]string{
	"weir":      {"cmd/weir", "."},
	"ingestor":  {"services/ingestor", "./cmd/ingestor"},
	"embedder":  {"services/embedder", "./cmd/embedder"},
	"router":    {"services/router", "./cmd/router"},
	"generator": {"services/generator", "./cmd/generator"},
	"gateway":   {"services/gateway", "./cmd/gateway"},
	"notifier":  {"services/notifier", "./cmd/notifier"},
}

// binaries is where Main has built them.
var binaries string

// Main is the TestMain of a package that uses Start: it builds the commands
// once, runs the tests and returns the exit code.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weir-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a folder for the binaries:", err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, "building the commands:", err)
		return 1
	}
	binaries = dir
	return m.Run()
}

// Binary is the path of a built command.
func Binary(name string) string { return filepath.Join(binaries, name) }

// build builds each command in its own module, so that it works with and
// without the workspace.
func build(dir string) error {
	root, err := repository()
	if err != nil {
		return err
	}
	for name, at := range commands {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), at[1])
		cmd.Dir = filepath.Join(root, at[0])
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", name, err, out)
		}
	}
	return nil
}

// repository is the nearest folder above the test that holds the command line.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "weir", "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("finding the repository: no folder above the test holds cmd/weir")
		}
		dir = parent
	}
}

// The ports of FreeAddr lie below those that systems give to outgoing
// connections, so none is taken between the choice and the use. Where the
// search begins depends on the process: several test binaries run at once.
const (
	firstPort = 10_000
	ports     = 20_000
)

var nextPort atomic.Int64

// FreeAddr returns a local address on which nobody listens, another each time.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := firstPort + (int64(os.Getpid())*97+nextPort.Add(1))%ports
		addr := net.JoinHostPort("127.0.0.1", strconv.FormatInt(port, 10))
		l, err := net.Listen("tcp", addr) //nolint:noctx // closed at once
		if err != nil {
			continue
		}
		l.Close() //nolint:errcheck // nothing was accepted
		return addr
	}
	t.Fatal("no free local port in 100 tries")
	return ""
}
