package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/config"
)

// The tests of this file set the environment, so they are not parallel.

func TestConfigHidesSecrets(t *testing.T) {
	secrets := []string{"WEIR_EMBEDDER_QDRANT_KEY", "WEIR_ROUTER_QDRANT_KEY"}
	for _, name := range secrets {
		t.Setenv(name, "sk-hush")
	}
	t.Setenv("WEIR_ROUTER_TOP_K", "3")
	for _, args := range [][]string{{"config"}, {"config", "--json"}, {"config", "--changed"}} {
		got := weir(t, args...).wants(t, exitOK)
		if strings.Contains(got.out+got.err, "sk-hush") {
			t.Errorf("weir %v shows a secret: %s", args, got.out)
		}
		for _, name := range append(secrets, "WEIR_ROUTER_TOP_K") {
			if !strings.Contains(got.out, name) {
				t.Errorf("weir %v does not show %s", args, name)
			}
		}
		if n := strings.Count(got.out, "[redacted]"); n != len(secrets) {
			t.Errorf("weir %v shows %d secrets as set, want %d: %s", args, n, len(secrets), got.out)
		}
	}
}

func TestConfigShowsWhatIsSet(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WEIR_DATA_DIR", dir)
	t.Setenv("WEIR_ROUTER_TOP_K", "3")
	settings := map[string]config.Setting{}
	for _, s := range lines[config.Setting](t, weir(t, "config", "--json")) {
		settings[s.Name] = s
	}
	for name, want := range map[string]config.Setting{
		"WEIR_DATA_DIR":              {Value: dir, Set: true},
		"WEIR_ROUTER_TOP_K":          {Value: "3", Set: true},
		"WEIR_INGESTOR_CHUNK_TOKENS": {Value: "256"},
		"WEIR_EMBEDDER_LINGER":       {Value: "5ms"},
		"WEIR_GENERATOR_WAITING":     {Value: "4"},
		"WEIR_LOG_LEVEL":             {Value: "warn"},
	} {
		if got := settings[name]; got.Value != want.Value || got.Set != want.Set {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
	weir(t, "config").wants(t, exitOK, "* WEIR_DATA_DIR", "  WEIR_INGESTOR_CHUNK_TOKENS", "256", "* WEIR_ROUTER_TOP_K", "3")
	if got := lines[config.Setting](t, weir(t, "config", "--json", "--changed")); len(got) != 2 {
		t.Errorf("changed settings %+v, want the two", got)
	}
}

// TestWrongEnvironment is a usage error of each command that reads it.
func TestWrongEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"WEIR_ROUTER_TOP_K": "0", "WEIR_EMBEDDER_LINGER": "soon", "WEIR_GENERATOR_MODELS": "a.b",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			weir(t, "config").wants(t, exitUsage, name)
			weir(t, "up", "--data-dir", t.TempDir()).wants(t, exitUsage, name)
		})
	}
}

func TestStateDirectory(t *testing.T) {
	state, home := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	for xdg, want := range map[string]string{
		state: filepath.Join(state, "weir"), "": filepath.Join(home, ".local", "state", "weir"), "relative": filepath.Join(home, ".local", "state", "weir"),
	} {
		t.Setenv("XDG_STATE_HOME", xdg)
		if got, err := stateDir(); err != nil || got != want {
			t.Errorf("XDG_STATE_HOME=%q: %s (%v), want %s", xdg, got, err, want)
		}
	}
	t.Setenv("XDG_STATE_HOME", "")
	weir(t, "config").wants(t, exitOK, "WEIR_DATA_DIR", filepath.Join(home, ".local", "state", "weir"))
}

// TestEnvironmentOfTheCommandLine: tenant and server have variables as well.
func TestEnvironmentOfTheCommandLine(t *testing.T) {
	t.Setenv("WEIR_NATS_URL", nowhere)
	weir(t, "result", "q1").wants(t, exitUnreachable, nowhere)
}
