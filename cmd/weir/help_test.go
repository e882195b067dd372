package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// parser is the command line's own.
func parser(t *testing.T) *kong.Kong {
	t.Helper()
	p, err := kong.New(&cli{}, kong.Name("weir"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestEveryCommandHasAnExample: a new command without one fails here.
func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	leaves := parser(t).Model.Leaves(true)
	if len(leaves) != len(examples()) {
		t.Errorf("%d commands and %d examples", len(leaves), len(examples()))
	}
	for _, node := range leaves {
		path := commandPath(node)
		if node.Help == "" {
			t.Errorf("weir %s has no help text", path)
		}
		got := weir(t, append(strings.Fields(path), "--help")...)
		got.wants(t, exitOK, "Usage: weir "+path, node.Help, "Example:", "weir "+path)
	}
}

// TestExamplesParse: they name arguments and flags that exist.
func TestExamplesParse(t *testing.T) {
	t.Parallel()
	for path, example := range examples() {
		_, line, ok := strings.Cut("| "+example, "| weir ")
		if _, piped, found := strings.Cut(example, "| weir "); found {
			line = piped
		}
		if !ok && line == "" {
			t.Fatalf("example %q does not call weir", example)
		}
		ctx, err := parser(t).Parse(words(line))
		if err != nil {
			t.Errorf("example %q: %v", example, err)
			continue
		}
		if got := commandPath(ctx.Selected()); got != path {
			t.Errorf("example %q of %q calls %q", example, path, got)
		}
	}
}

// words splits a line as a shell does, as far as double quotes go.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.Fields(part)...)
	}
	return out
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--help"}} {
		weir(t, args...).wants(t, exitOK, "Usage: weir <command>", "Exit codes: 0 done", "6 timed out", "--nats-url", "ingest", "dev qdrant")
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	weir(t, "version").wants(t, exitOK, "weir "+version)
	if got := lines[map[string]string](t, weir(t, "version", "--json"))[0]; got["version"] != version || got["go"] == "" {
		t.Errorf("version %v", got)
	}
}
