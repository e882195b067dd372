package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// patience bounds every wait; a passing test needs a fraction of it.
const patience = time.Minute

// TestMain clears the settings of whoever runs the tests.
func TestMain(m *testing.M) {
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "WEIR_") {
			os.Unsetenv(name) //nolint:errcheck // it was just read
		}
	}
	m.Run()
}

// buffer is what a command prints, possibly from several goroutines.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

// outcome is what a command line left.
type outcome struct {
	code     int
	out, err string
}

// weir runs a command line.
func weir(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, err buffer
	code := run(ctx, args, &out, &err)
	return outcome{code, out.String(), err.String()}
}

// wants checks the exit code and that the output has all texts, in order.
func (o outcome) wants(t *testing.T, code int, texts ...string) outcome {
	t.Helper()
	if o.code != code {
		t.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", o.code, code, o.out, o.err)
	}
	rest := o.out
	if code != exitOK {
		rest = o.out + o.err
	}
	for _, text := range texts {
		_, after, ok := strings.Cut(rest, text)
		if !ok {
			t.Fatalf("no %q (after the texts before it) in\nstdout: %s\nstderr: %s", text, o.out, o.err)
		}
		rest = after
	}
	return o
}

// lines decodes the output, which must be one JSON value a line.
func lines[T any](t *testing.T, o outcome) []T {
	t.Helper()
	var values []T
	for line := range strings.Lines(o.out) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("line %q of the output: %v", line, err)
		}
		values = append(values, v)
	}
	if len(values) == 0 {
		t.Fatalf("no output; stderr: %s", o.err)
	}
	return values
}

// server runs a command that does not end by itself and returns the first
// lines it prints. stop ends it; its exit code must be 0.
func server(t *testing.T, n int, args ...string) (first []string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, write := io.Pipe()
	var errs buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, args, write, &errs)
		write.Close() //nolint:errcheck // of a pipe
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if got := <-code; got != exitOK {
			t.Errorf("weir %s ended with exit code %d: %s", strings.Join(args, " "), got, errs.String())
		}
	})
	t.Cleanup(stop)
	lines := bufio.NewScanner(read)
	for range n {
		if !lines.Scan() {
			t.Fatalf("weir %s printed only %q: %s", strings.Join(args, " "), first, errs.String())
		}
		first = append(first, lines.Text())
	}
	go io.Copy(io.Discard, read) //nolint:errcheck // ends with the command
	return first, stop
}

// system runs `weir up` on free ports and returns the address of its NATS.
func system(t *testing.T, dir string) (natsURL string, stop func()) {
	t.Helper()
	up, stop := systemAddrs(t, dir)
	return up["nats_url"], stop
}

// systemAddrs is system with all that it announces.
func systemAddrs(t *testing.T, dir string) (up map[string]string, stop func()) {
	t.Helper()
	first, stop := server(t, 1, "up", "--json", "--data-dir", dir, "--nats-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0")
	if err := json.Unmarshal([]byte(first[0]), &up); err != nil {
		t.Fatalf("announcement %q: %v", first[0], err)
	}
	if up["nats_url"] == "" || up["http_addr"] == "" || up["data_dir"] != dir {
		t.Fatalf("announcement %v, want addresses and the data directory", up)
	}
	return up, stop
}

// write makes a file with its folders and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Documents, a question that one of them answers, and one that none does.
const (
	bridge   = "# The old bridge\n\nThe old bridge at Grenoble was built in 1876 by Marie Durand. It has five arches.\n"
	holidays = "# Holidays\n\nEvery employee has thirty days of holidays per year. Ask your manager first.\n"
	known    = "Who built the old bridge at Grenoble?"
	unknown  = "What is the capital of Mongolia?"
)

// documents makes a folder with the two of them.
func documents(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "bridge.md", bridge)
	write(t, dir, "holidays.md", holidays)
	return dir
}

// cites checks that a result is an answer from the bridge's document.
func cites(t *testing.T, r event.Result) {
	t.Helper()
	if r.Status != event.StatusOK || r.Answer == nil || !strings.Contains(r.Answer.Text, "Marie Durand") ||
		len(r.Answer.Citations) != 1 || !strings.HasSuffix(r.Answer.Citations[0].Source, "bridge.md") {
		t.Errorf("result %+v with answer %+v, want Marie Durand from bridge.md", r, r.Answer)
	}
}
