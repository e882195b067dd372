package main

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
)

// nowhere is an address at which nothing listens.
const nowhere = "nats://127.0.0.1:1"

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "doc.md", bridge)
	for _, tc := range []struct {
		want string
		args []string
	}{
		{"frobnicate", []string{"frobnicate"}},
		{"--frobnicate", []string{"status", "--frobnicate"}},
		{"question", []string{"ask"}},
		{"path", []string{"ingest"}},
		{"job", []string{"result"}},
		{"nats", []string{"dev"}},
		{"--lane", []string{"ingest", file, "--lane", "fast"}},
		{"--timeout", []string{"ask", "What?", "--timeout", "soon"}},
		{"--top-k", []string{"ask", "What?", "--top-k", "many"}},
		{"no file or folder", []string{"ingest", filepath.Join(dir, "none.md")}},
		{"no files of a known format", []string{"ingest", t.TempDir()}},
		{"no file or folder", []string{"demo", filepath.Join(dir, "none")}},
		{"no file", []string{"submit", filepath.Join(dir, "none.json")}},
		{"a b", []string{"watch", "a b"}},
	} {
		got := weir(t, append(tc.args, "--nats-url", nowhere)...)
		got.wants(t, exitUsage, "weir:", tc.want)
	}
}

// TestWrongNames are told once Weir can be reached, and are usage errors too.
func TestWrongNames(t *testing.T) {
	t.Parallel()
	_, server := bustest.New(t)
	for _, args := range [][]string{
		{"ask", "What?", "--tenant", "a b"},
		{"result", "a b"},
		{"result", "a.>", "--wait"},
		{"result", "q1", "--tenant", "*"},
	} {
		weir(t, append(args, "--nats-url", server.URL())...).wants(t, exitUsage, "use 1 to 64 characters")
	}
}

// TestUnreachable: without NATS, and on a NATS that no Weir has seen.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	doc := write(t, dir, "doc.md", bridge)
	job := write(t, dir, "job.json", `{"v":1,"messages":[{"role":"user","content":"Hi"}]}`)
	for _, args := range [][]string{
		{"ingest", doc}, {"ask", "What?"}, {"submit", job}, {"result", "q1"}, {"watch", "q1"}, {"status"},
	} {
		weir(t, append(args, "--nats-url", nowhere)...).wants(t, exitUnreachable, nowhere, "weir up", "--nats-url")
	}
	empty := bustest.Start(t)
	for _, args := range [][]string{{"ask", "What?"}, {"submit", job}, {"result", "q1"}, {"watch", "q1"}, {"status"}} {
		weir(t, append(args, "--nats-url", empty.URL())...).wants(t, exitUnreachable)
	}
	weir(t, "status", "--nats-url", empty.URL()).wants(t, exitUnreachable, "no Weir has run", "weir up")
}

// TestFullQueue: a refused job is told so, and is not half there.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	limits := bus.DefaultLimits()
	limits.TenantJobs = 2
	if err := b.Ensure(t.Context(), limits); err != nil {
		t.Fatal(err)
	}
	dir, url := t.TempDir(), server.URL()
	job := write(t, dir, "job.json", `{"v":1,"messages":[{"role":"user","content":"Hi"}]}`)
	weir(t, "submit", job, "--nats-url", url).wants(t, exitOK)
	weir(t, "submit", job, "--nats-url", url).wants(t, exitOK)
	weir(t, "submit", job, "--nats-url", url).wants(t, exitFull, "queue is full", "add workers")
	weir(t, "ask", "What?", "--nats-url", url).wants(t, exitFull, "queue is full")
	weir(t, "submit", job, "--nats-url", url, "--tenant", "other").wants(t, exitOK)
	if n := lines[status](t, weir(t, "status", "--json", "--nats-url", url))[0].Streams[0].Messages; n != 3 {
		t.Errorf("%d jobs wait, want 3", n)
	}
}

// TestNoResult: on a Weir whose services are down, results are still told.
func TestNoResult(t *testing.T) {
	t.Parallel()
	_, server := bustest.New(t)
	url := server.URL()
	weir(t, "result", "q1", "--nats-url", url).wants(t, exitNoResult, "q1", "weir watch q1")
	weir(t, "result", "q1", "--wait", "--timeout", "50ms", "--nats-url", url).wants(t, exitTimeout, "weir result q1")
	weir(t, "watch", "q1", "--timeout", "50ms", "--nats-url", url).wants(t, exitTimeout, "weir result q1")
	weir(t, "ask", "What?", "--timeout", "200ms", "--nats-url", url).wants(t, exitTimeout, "weir result")
	doc := write(t, t.TempDir(), "doc.md", bridge)
	weir(t, "ingest", doc, "--timeout", "200ms", "--nats-url", url).wants(t, exitTimeout, "1 of 1 documents")
}

// TestInterrupted: a signal ends the wait, not the job.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	if _, err := b.Conn().Subscribe("$JS.API.DIRECT.GET.WEIR_RESULTS.>", func(*nats.Msg) { interrupt() }); err != nil {
		t.Fatal(err)
	}
	if err := b.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	var out, errs buffer
	code := run(ctx, []string{"result", "q1", "--wait", "--nats-url", server.URL()}, &out, &errs)
	outcome{code, out.String(), errs.String()}.wants(t, exitError, "interrupted", "weir result q1")
}

// TestUpOnOtherNATS: the flag names the NATS to run on, as the variable does.
func TestUpOnOtherNATS(t *testing.T) {
	t.Parallel()
	nats := bustest.Start(t)
	first, _ := server(t, 1, "up", "--json", "--data-dir", t.TempDir(), "--http-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0", "--nats-url", nats.URL())
	if !strings.Contains(first[0], nats.URL()) {
		t.Errorf("Weir is up as %s, want NATS at %s", first[0], nats.URL())
	}
}

// TestAddressInUse says which flags choose another one.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // a test's
	free := map[string]string{"--nats-addr": "127.0.0.1:0", "--http-addr": "127.0.0.1:0", "--api-addr": "127.0.0.1:0"}
	for flag := range free {
		args := []string{"up", "--data-dir", t.TempDir(), flag, taken.Addr().String()}
		for other, addr := range free {
			if other != flag {
				args = append(args, other, addr)
			}
		}
		weir(t, args...).wants(t, exitError, taken.Addr().String(), "with --nats-addr, --qdrant-addr, --api-addr and --http-addr")
	}
	for _, name := range []string{"nats", "qdrant", "llmsim"} {
		args := []string{"dev", name, "--addr", taken.Addr().String()}
		if name != "llmsim" {
			args = append(args, "--data-dir", t.TempDir())
		}
		weir(t, args...).wants(t, exitError, taken.Addr().String(), "with --addr")
	}
}

// TestCompletion: a shell that asks gets the commands that begin like the word.
func TestCompletion(t *testing.T) { //nolint:paralleltest // sets variables
	weir(t, "completion", "bash").wants(t, exitOK, "weir completion -c bash")
	t.Setenv("COMP_LINE", "weir catalog ")
	t.Setenv("COMP_POINT", "13")
	if got := weir(t); got.code != exitOK || strings.Contains(got.out+got.err, "Usage") {
		t.Errorf("a shell that asked got %+v", got)
	}
}
