package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

func batchLine(custom, body string) string {
	return fmt.Sprintf(`{"custom_id":%q,"method":"POST","url":"/v1/chat/completions","body":%s}`, custom, body) + "\n"
}

// TestBatchRun: a file of requests becomes files of answers and errors; the same
// command again only fetches them.
func TestBatchRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	up, stop := systemAddrs(t, filepath.Join(dir, "data"))
	defer stop()
	nats := "--nats-url=" + up["nats_url"]
	good := batchLine("a", `{"model":"small","messages":[{"role":"user","content":"hi"}]}`)
	in := write(t, dir, "in.jsonl", good+batchLine("b", `{"model":"none","messages":[{"role":"user","content":"hi"}]}`)+
		batchLine("c", `{"model":"small","messages":[{"role":"user","content":"hello"}]}`))
	out := filepath.Join(dir, "out.jsonl")
	for range 2 {
		weir(t, "batch", "run", in, "-o", out, nats).wants(t, exitJobFailed, "3 lines: 2 answered", "1 failed", "$", "1 line failed, see "+filepath.Join(dir, "out.errors.jsonl"))
	}
	first := read(t, out)
	if n := strings.Count(first, "\n"); n != 2 || !strings.Contains(first, `"custom_id":"a"`) || !strings.Contains(first, `"status_code":200`) {
		t.Errorf("got %s", first)
	}
	if errs := read(t, filepath.Join(dir, "out.errors.jsonl")); !strings.Contains(errs, `"custom_id":"b"`) || !strings.Contains(errs, "model_not_found") {
		t.Errorf("got %s", errs)
	}
	// Another input leaves no errors of the first one behind.
	in = write(t, dir, "in.jsonl", good)
	results := lines[event.Result](t, weir(t, "batch", "run", in, "-o", out, "--json", nats).wants(t, exitOK))
	if b := results[0].Batch; b == nil || b.Completed != 1 || b.Total != 1 {
		t.Errorf("got %+v", results)
	}
	if _, err := os.Stat(filepath.Join(dir, "out.errors.jsonl")); !os.IsNotExist(err) {
		t.Errorf("errors of another run: %v", err)
	}
	again := lines[event.Result](t, weir(t, "batch", "run", in, "-o", out, "--again", "--json", nats).wants(t, exitOK))
	if again[0].ID == results[0].ID {
		t.Errorf("%s was not run anew", again[0].ID)
	}
	weir(t, "batch", "cancel", again[0].ID, nats).wants(t, exitError, "has ended")
	weir(t, "batch", "cancel", "nobodys", nats).wants(t, exitNoResult, "nobodys")
	in = write(t, dir, "broken.jsonl", good+"oops\n")
	weir(t, "batch", "run", in, "-o", out, nats).wants(t, exitJobFailed, "line 2", "invalid")
}

// TestBatchRunRefused: what can't be run is told before anything is sent.
func TestBatchRunRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	weir(t, "batch", "run", filepath.Join(dir, "none.jsonl"), "-o", "x").wants(t, exitUsage, "none.jsonl")
	weir(t, "batch", "run", write(t, dir, "in.jsonl", "{}\n"), "-o", "x").wants(t, exitUsage, "--endpoint")
	weir(t, "batch", "run", write(t, dir, "in.jsonl", "{}\n")).wants(t, exitUsage, "--out")
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
