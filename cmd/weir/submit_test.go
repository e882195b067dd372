package main

import (
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

// TestWrongJobs are refused before anything is sent: nothing listens there.
func TestWrongJobs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const message = `"messages":[{"role":"user","content":"Hi"}]`
	for _, tc := range []struct {
		body, want string
		flags      []string
	}{
		{body: `hello`, want: "no JSON object"},
		{body: ``, want: "no JSON object"},
		{body: `null`, want: "no JSON object"},
		{body: `[1]`, want: "no JSON object"},
		{body: `{` + message + `}`, want: "invalid: v: missing"},
		{body: `{"v":2,` + message + `}`, want: "unsupported: v: "},
		{body: `{"v":1}`, want: "invalid: messages: empty"},
		{body: `{"v":1,"messages":[{"role":"user"}]}`, want: "messages[0].content"},
		{body: `{"v":1,"messages":"Hi"}`, want: "messages"},
		{body: `{"v":1,"id":7,` + message + `}`, want: "id"},
		{body: `{"v":1,"id":"a b",` + message + `}`, want: "invalid: id: "},
		{body: `{"v":1,"tenant":"a.b",` + message + `}`, want: "invalid: tenant: "},
		{body: `{"v":1,"lane":"fast",` + message + `}`, want: "invalid: lane: "},
		{body: `{"v":1,"lane":"batch",` + message + `}`, want: "invalid: lane: ", flags: []string{"--lane", "interactive"}},
		{body: `{"v":1,` + message + `}`, want: "invalid: kind: ", flags: []string{"--kind", "train"}},
		{body: `{"v":1,"document":{"id":"d","text":"x"}}`, want: "invalid: collection: missing"},
		{body: `{"v":1,"collection":"c","document":{"text":"x"}}`, want: "invalid: document.id: missing"},
		{body: `{"v":1,"collection":"c","document":{"id":"d"}}`, want: "invalid: document: has no content"},
		{body: `{"v":1,` + message + `}`, want: "invalid: collection: missing", flags: []string{"--kind", "ingest"}},
	} {
		file := write(t, dir, "job.json", tc.body)
		weir(t, append([]string{"submit", file, "--nats-url", nowhere}, tc.flags...)...).wants(t, exitUsage, file, tc.want)
	}
}

// TestSubmit: with --wait the job's end decides the exit code.
func TestSubmit(t *testing.T) {
	t.Parallel()
	url, _ := system(t, t.TempDir())
	dir := t.TempDir()
	flags := []string{"--nats-url", url}
	ingest := write(t, dir, "ingest.json", `{"v":1,"id":"i1","collection":"docs","document":{"id":"bridge","source":"bridge.md","text":"The old bridge at Grenoble was built by Marie Durand."}}`)
	weir(t, append(flags, "submit", ingest, "--wait")...).wants(t, exitOK, "document bridge in collection docs: 1 chunk, ")

	ask := write(t, dir, "ask.json", `{"v":1,"id":"q1","messages":[{"role":"user","content":"`+known+`"}],"rag":{"collection":"docs"}}`)
	weir(t, append(flags, "submit", ask)...).wants(t, exitOK, "q1\n")
	weir(t, append(flags, "result", "q1", "--wait")...).wants(t, exitOK, "Marie Durand", "[1] bridge.md", "models small")
	cites(t, lines[event.Result](t, weir(t, append(flags, "result", "q1", "--json")...))[0])

	failing := write(t, dir, "failing.json", `{"v":1,"model":"huge","messages":[{"role":"user","content":"Hi"}]}`)
	weir(t, append(flags, "submit", failing, "--wait")...).wants(t, exitJobFailed, "failed", "model", "huge")
	got := weir(t, append(flags, "submit", failing, "--wait", "--json")...).wants(t, exitJobFailed)
	if r := lines[event.Result](t, got)[0]; r.Error == nil || r.Error.Field != "model" {
		t.Errorf("result %+v, want the error", r)
	}
}

// TestSubmitForAnotherTenant: the job's own tenant is where its result is
// awaited.
func TestSubmitForAnotherTenant(t *testing.T) {
	t.Parallel()
	url, _ := system(t, t.TempDir())
	file := write(t, t.TempDir(), "job.json", `{"v":1,"id":"q1","tenant":"acme","messages":[{"role":"user","content":"Hi"}]}`)
	weir(t, "submit", file, "--wait", "--timeout", "30s", "--nats-url", url).wants(t, exitOK, "models small")
	weir(t, "result", "q1", "--nats-url", url).wants(t, exitNoResult)
	weir(t, "result", "q1", "--tenant", "acme", "--nats-url", url).wants(t, exitOK)
	got := lines[map[string]string](t, weir(t, "submit", file, "--json", "--nats-url", url))[0]
	if got["id"] != "q1" || got["tenant"] != "acme" || got["subject"] != "weir.jobs.generate.interactive.acme" {
		t.Errorf("printed %v", got)
	}
}
