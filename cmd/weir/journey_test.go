package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

// TestJourney is the main job by the commands of the README.
func TestJourney(t *testing.T) {
	t.Parallel()
	url, _ := system(t, t.TempDir())
	with := func(args ...string) []string { return append(args, "--nats-url", url) }
	weir(t, with("ingest", documents(t))...).wants(t, exitOK, "2 documents")

	weir(t, with("ask", known)...).wants(t, exitOK, "Marie Durand", "[1]", "\n\n  [1] ", "bridge.md, The old bridge", "models small | tokens ", "cost $0.0")
	got := weir(t, with("ask", unknown)...).wants(t, exitOK, "I don't know.\n", "no model was asked")
	if strings.Contains(got.out, "[1]") {
		t.Errorf("an answer without sources cites: %s", got.out)
	}
	asked := lines[event.Result](t, weir(t, with("ask", known, "--json")...))
	cites(t, asked[0])
	if len(asked) != 1 {
		t.Errorf("%d lines, want the result alone", len(asked))
	}
	id := asked[0].ID
	weir(t, with("result", id)...).wants(t, exitOK, "Marie Durand", "  [1] ", "bridge.md", "models small")
	weir(t, with("watch", id)...).wants(t, exitOK, "Marie Durand", "  [1] ", "models small")
	watched := lines[json.RawMessage](t, weir(t, with("watch", id, "--json")...))
	var last event.Result
	if err := json.Unmarshal(watched[len(watched)-1], &last); err != nil {
		t.Fatal(err)
	}
	cites(t, last)

	// Another tenant, another collection, another model.
	weir(t, with("result", id, "--tenant", "other")...).wants(t, exitNoResult)
	weir(t, with("ask", known, "--tenant", "other")...).wants(t, exitJobFailed, "rag.collection", `tenant "other" has no collection "docs"`)
	weir(t, with("ask", known, "--collection", "none")...).wants(t, exitJobFailed, "rag.collection")
	failed := lines[event.Result](t, weir(t, with("ask", known, "--model", "huge", "--json")...).wants(t, exitJobFailed))[0]
	if failed.Status != event.StatusFailed || failed.Error == nil || failed.Error.Field != "model" {
		t.Errorf("result %+v, want failed for its model", failed)
	}
	weir(t, with("watch", failed.ID)...).wants(t, exitJobFailed, "failed", "model")
}

// TestWatchFromTheStart: the job is submitted while it is watched.
func TestWatchFromTheStart(t *testing.T) {
	t.Parallel()
	url, _ := system(t, t.TempDir())
	weir(t, "ingest", documents(t), "--nats-url", url).wants(t, exitOK)
	job := write(t, t.TempDir(), "job.json",
		`{"v":1,"id":"q1","stream":true,"messages":[{"role":"user","content":"`+known+`"}],"rag":{"collection":"docs"}}`)
	watched := make(chan outcome, 1)
	go func() { watched <- weir(t, "watch", "q1", "--nats-url", url) }()
	weir(t, "submit", job, "--wait", "--nats-url", url).wants(t, exitOK)
	got := (<-watched).wants(t, exitOK, "Marie Durand", "  [1] ", "models small")
	if n := strings.Count(got.out, "Marie Durand"); n != 2 {
		t.Errorf("answer and quote are shown %d times: %s", n, got.out)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	url, _ := system(t, t.TempDir())
	weir(t, "ingest", documents(t), "--nats-url", url).wants(t, exitOK)
	weir(t, "status", "--nats-url", url).wants(t, exitOK,
		"STREAM", "WEIR_JOBS", "WEIR_STEPS", "WEIR_RESULTS", "WEIR_DEAD", "CONSUMER", "BACKLOG", "ingestor-batch", "embedder-embed-batch")
	got := lines[status](t, weir(t, "status", "--json", "--nats-url", url).wants(t, exitOK))[0]
	if len(got.Streams) != 9 || len(got.Consumers) != 6 {
		t.Fatalf("%d streams and %d consumers, want 9 and 6 (of the stages that had work, the learner, the notifier and what is due): %+v", len(got.Streams), len(got.Consumers), got)
	}
	for _, s := range got.Streams {
		if s.Name == "WEIR_RESULTS" && s.Messages != 2 || s.MaxBytes < 1 && s.Name != "WEIR_DELAY" { // which must not refuse
			t.Errorf("stream %+v, want 2 results within bounds", s)
		}
	}
	for _, c := range got.Consumers {
		if c.Backlog != 0 {
			t.Errorf("consumer %+v, want no backlog after all was awaited", c)
		}
	}
}

// TestLimits: a catalog's limits are shown as the fleet has used them, without one
// there are none.
func TestLimits(t *testing.T) {
	t.Parallel()
	url, _ := system(t, t.TempDir())
	weir(t, "limits", "--nats-url", url).wants(t, exitOK, "names no limits", "PROVIDER", "STATE")
	file := write(t, t.TempDir(), "catalog.yaml", `version: 1
providers:
  - {id: sim, base_url: "http://127.0.0.1:1/v1", dialect: openai}
models:
  - {id: small, provider: sim, upstream: sim-small, mode: chat, price: [{input: 1, output: 1}], limits: {rpm: 500, tpm: 200000}}
`)
	weir(t, "limits", "--file", file, "--nats-url", url).wants(t, exitOK, "sim.small", "rpm", "500", "tpm", "200000")
	got := lines[limits](t, weir(t, "limits", "--file", file, "--json", "--nats-url", url).wants(t, exitOK))[0]
	if len(got.Limits) != 2 || got.Limits[0].InForce != 500 {
		t.Errorf("limits %+v, want the two", got.Limits)
	}
	weir(t, "limits", "--file", file, "--nats-url", nowhere).wants(t, exitUnreachable, nowhere)
}

// TestUp: what it prints works, and it stops without an error.
func TestUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, stop := server(t, 8, "up", "--data-dir", dir, "--nats-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0")
	text := strings.Join(first, "\n")
	for _, want := range []string{"Weir is up.", "nats://127.0.0.1:", "/readyz", "/metrics", dir, "weir ingest"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	_, health, _ := strings.Cut(first[4], "health")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSpace(health), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close() //nolint:errcheck // not read
	if response.StatusCode != http.StatusOK {
		t.Errorf("ready: %s", response.Status)
	}
	// A second one on the same directory is told what to do.
	weir(t, "up", "--data-dir", dir, "--nats-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0").wants(t, exitError, "weir:", dir, "in use", "--data-dir")
	stop()
}

// TestUpAgain: an answer outlives the process.
func TestUpAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, stop := system(t, dir)
	weir(t, "ingest", documents(t), "--nats-url", url).wants(t, exitOK)
	id := lines[event.Result](t, weir(t, "ask", known, "--json", "--nats-url", url))[0].ID
	stop()
	url, _ = system(t, dir)
	weir(t, "result", id, "--nats-url", url).wants(t, exitOK, "Marie Durand")
	weir(t, "ask", known, "--nats-url", url).wants(t, exitOK, "Marie Durand", "bridge.md")
}

// TestDev: each embedded server alone.
func TestDev(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"dev", "nats", "--data-dir", t.TempDir()}, {"dev", "qdrant", "--data-dir", t.TempDir()}, {"dev", "llmsim"},
	} {
		text, stop := server(t, 1, append(args, "--addr", "127.0.0.1:0")...)
		if !strings.Contains(text[0], args[1]+" listens on ") || !strings.Contains(text[0], "127.0.0.1:") {
			t.Errorf("%s printed %q", args[1], text[0])
		}
		stop()
		text, stop = server(t, 1, append(args, "--addr", "127.0.0.1:0", "--json")...)
		var printed map[string]string
		if err := json.Unmarshal([]byte(text[0]), &printed); err != nil || printed["server"] != args[1] || printed["addr"] == "" {
			t.Errorf("%s printed %q (%v)", args[1], text[0], err)
		}
		stop()
	}
}

// TestDevDirectoryInUse: the error names the directory.
func TestDevDirectoryInUse(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nats", "qdrant"} {
		dir := t.TempDir()
		server(t, 1, "dev", name, "--data-dir", dir, "--addr", "127.0.0.1:0")
		weir(t, "dev", name, "--data-dir", dir, "--addr", "127.0.0.1:0").wants(t, exitError, dir, "another process", "another directory")
	}
}
