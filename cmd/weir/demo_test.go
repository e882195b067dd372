package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	dir := documents(t)
	const another = "How many days of holidays, per year, has an employee?" // the commas are its own
	got := weir(t, "demo", dir, "--question", known, "--question", another, "--question", unknown)
	got.wants(t, exitOK, "Ingesting 2 documents through the queue", "2 documents, 2 chunks",
		"Q: "+known, "A: ", "Marie Durand", "[1]", "  [1] ", "bridge.md", "models small", "cost $0.0",
		"Q: "+another, "thirty days", "holidays.md", "models small",
		"Q: "+unknown, "A: I don't know.", "no model was asked")
	if got.err != "" {
		t.Errorf("stderr: %s", got.err)
	}
}

func TestDemoJSON(t *testing.T) {
	t.Parallel()
	got := weir(t, "demo", documents(t), "--question", known, "--json").wants(t, exitOK)
	all := lines[json.RawMessage](t, got)
	if len(all) != 3 {
		t.Fatalf("%d lines, want two documents and an answer: %s", len(all), got.out)
	}
	var answer event.Result
	if err := json.Unmarshal(all[2], &answer); err != nil {
		t.Fatal(err)
	}
	cites(t, answer)
}

// TestDemoFails as its documents do.
func TestDemoFails(t *testing.T) {
	t.Parallel()
	empty := write(t, t.TempDir(), "empty.md", "")
	weir(t, "demo", empty).wants(t, exitJobFailed, "the file is empty")
}

// TestDemoQuestions: the default ones have no answer that no document gives.
func TestDemoQuestions(t *testing.T) {
	t.Parallel()
	if n := len(questions()); n != 3 || !strings.Contains(questions()[2], "Mongolia") {
		t.Errorf("questions %q, want two of Weir and one of elsewhere", questions())
	}
}
