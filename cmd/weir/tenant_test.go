package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestTenantCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "tenants.yaml")
	added := lines[made](t, weir(t, "tenant", "add", "acme", "--data-dir", dir, "--json").wants(t, exitOK))[0]
	if added.Tenant != "acme" || added.File != file || added.Key == "" || !strings.Contains(added.NATSURL, "acme:"+added.NATSPassword+"@") {
		t.Errorf("got %+v", added)
	}
	conf := filepath.Join(dir, "nats.conf")
	weir(t, "tenant", "add", "bravo", "--file", file, "--scopes", "read", "--no-nats", "--expires", "24h", "--nats-conf", conf).wants(t, exitOK, "shown once", "API key  weir_")
	second := lines[made](t, weir(t, "tenant", "key", "acme", "--file", file, "--label", "ci", "--json").wants(t, exitOK))[0]
	weir(t, "tenant", "ls", "--file", file).wants(t, exitOK, "TENANT", "acme", added.Key[:13], second.Key[:13], "ci", "bravo", "read")
	if list := lines[tenantLine](t, weir(t, "tenant", "ls", "--file", file, "--json").wants(t, exitOK)); len(list) != 2 || len(list[0].Keys) != 2 || list[1].Keys[0].Expires.IsZero() {
		t.Errorf("got %+v", list)
	}
	for _, path := range []string{file, conf} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{added.Key, added.NATSPassword, second.Key} {
			if strings.Contains(string(data), secret) {
				t.Errorf("%s holds a secret in clear", path)
			}
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
	}
	if text, err := os.ReadFile(conf); err != nil || !strings.Contains(string(text), "tenant-acme") || strings.Contains(string(text), "tenant-bravo") || !strings.Contains(string(text), "password: $WEIR_NATS_PASSWORD") {
		t.Errorf("configuration of NATS: %s, %v", text, err)
	}
	weir(t, "tenant", "add", "acme", "--file", file).wants(t, exitUsage, `has a tenant "acme" already`)
	weir(t, "tenant", "add", "a.b", "--file", file).wants(t, exitUsage, "character '.'")
	weir(t, "tenant", "add", "weir-service", "--file", file).wants(t, exitUsage, "Weir's own processes")
	weir(t, "tenant", "rm", "acme", "--file", file).wants(t, exitOK, "removed")
	weir(t, "tenant", "rm", "acme", "--file", file).wants(t, exitUsage, `no tenant "acme"`)
	weir(t, "tenant", "key", "acme", "--file", file).wants(t, exitUsage, `no tenant "acme"`)
	if err := os.WriteFile(file, []byte("version: 1\ntenants:\n  - {id: x, share: -1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	weir(t, "tenant", "add", "y", "--file", file).wants(t, exitUsage, "tenants[0].share")
	weir(t, "catalog", "check", "--tenants", file).wants(t, exitUsage, "line 3", "tenants[0].share")
}

// TestUpWithTenants: keys are asked for on every door, and the operator's commands find
// theirs.
func TestUpWithTenants(t *testing.T) { //nolint:paralleltest // sets variables
	dir := t.TempDir()
	t.Setenv("WEIR_DATA_DIR", dir)
	weir(t, "up", "--nats-addr", "0.0.0.0:0").wants(t, exitError, "NATS would listen on 0.0.0.0:0", "weir tenant add", "WEIR_TENANTS")
	weir(t, "up", "--api-addr", ":0").wants(t, exitError, "the HTTP API would listen on :0", "WEIR_TENANTS")
	acme := lines[made](t, weir(t, "tenant", "add", "acme", "--json").wants(t, exitOK))[0]
	first, stop := server(t, 1, "up", "--json", "--nats-addr", "0.0.0.0:0", "--http-addr", "127.0.0.1:0", "--api-addr", "0.0.0.0:0")
	var facts map[string]string
	if err := json.Unmarshal([]byte(first[0]), &facts); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(facts["operator_file"]); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the operator's file: %v, %v", info, err)
	}
	weir(t, "status").wants(t, exitOK, "WEIR_JOBS")
	weir(t, "ask", "Hello", "--tenant", "acme", "--collection", "none").wants(t, exitJobFailed, "none")
	address := strings.Replace(facts["nats_url"], "0.0.0.0", "127.0.0.1", 1)
	weir(t, "status", "--nats-url", address).wants(t, exitUnreachable, "Authorization Violation")
	if _, err := nats.Connect(address); err == nil {
		t.Error("NATS asks nobody")
	}
	if nc, err := nats.Connect(address, nats.UserInfo(acme.NATSUser, acme.NATSPassword)); err != nil {
		t.Error(err)
	} else {
		nc.Close()
	}
	_, port, _ := strings.Cut(facts["api_addr"], "]:")
	for key, want := range map[string]int{"": 401, "weir_x": 401, acme.Key: 200} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/v1/jobs", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close() //nolint:errcheck // a test
		if resp.StatusCode != want {
			t.Errorf("key %.13q: %d, want %d", key, resp.StatusCode, want)
		}
	}
	stop()
	if _, err := os.Stat(facts["operator_file"]); !os.IsNotExist(err) {
		t.Errorf("the operator's file is left: %v", err)
	}
}
