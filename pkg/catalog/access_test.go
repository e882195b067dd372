package catalog_test

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
)

// tenants is a small tenants file; tests change one part of it.
var tenants = `version: 1
oidc:
  issuer: https://login.example.com/realm
  audience: weir
  tenant_claim: org
tenants:
  - id: bravo
    share: 3
    budget: {usd: "5", period: day}
    lanes: [interactive]
    models: [cheap]
    collections: [docs]
    rate: {per_second: 10, burst: 20}
    queue: 100
    keys:
      - {name: ci, prefix: weir_AAAAaaaa, hash: ` + strings.Repeat("ab", 32) + `, scopes: [submit, read], expires: 2027-01-31T00:00:00Z}
    nats:
      - {user: bravo, password: "$2a$04$` + strings.Repeat("x", 53) + `"}
    webhooks:
      secrets: [whsec_` + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", 32))) + `]
      endpoints:
        - {id: main, url: "https://hooks.example.com/weir", events: [job.failed]}
`

func TestTenantsFile(t *testing.T) {
	t.Parallel()
	base := parse(t, good)
	c, err := base.WithTenants([]byte(tenants))
	if err != nil {
		t.Fatal(err)
	}
	if base.Access != nil || len(base.Tenants) != 1 {
		t.Error("the catalog itself was changed")
	}
	if c.Access == nil || c.Access.OIDC.TenantClaim != "org" || c.Access.Revision == "" || len(c.Tenants) != 2 {
		t.Fatalf("got %+v, %d tenants", c.Access, len(c.Tenants))
	}
	bravo, ok := c.Known("bravo")
	if !ok || bravo.Share != 3 || bravo.Budget.Policy != catalog.PolicyWait || !slices.Equal(bravo.Models, []string{"small"}) {
		t.Errorf("got %+v, want the alias resolved and the defaults", bravo)
	}
	if want := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC); !bravo.Keys[0].Expires.Equal(want) {
		t.Errorf("expires %s", bravo.Keys[0].Expires)
	}
	if _, ok := c.Known("nobody"); ok {
		t.Error("a tenant without an entry is known")
	}
}

func TestTenantsFileMistakes(t *testing.T) {
	t.Parallel()
	secret := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	valid := secret(0) + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", 32)))
	for _, tc := range []struct {
		name, old, with string
		line            int
		want            string
	}{
		{"version", "version: 1", "version: 2", 1, "version is 2, want 1"},
		{"no document", tenants, "", 0, "write one document with version and tenants"},
		{"unknown field", "share: 3", "weight: 3", 8, "tenants[0].weight: unknown field"},
		{"issuer", "https://login.example.com", "http://login.example.com", 3, "oidc.issuer: not the address of an issuer"},
		{"no audience", "  audience: weir\n", "", 2, "oidc.audience: missing"},
		{"id", "id: bravo", "id: a.b", 7, "tenants[0].id: character '.'"},
		{"in both", "id: bravo", "id: acme", 7, `tenants[0].id: "acme" is in the catalog file already`},
		{"twice", "tenants:\n", "tenants:\n  - {id: bravo}\n", 8, `tenants[1].id: "bravo" is already the name of tenants[0].id`},
		{"lane", "lanes: [interactive]", "lanes: [fast]", 10, `tenants[0].lanes[0]: unknown value "fast"`},
		{"model", "models: [cheap]", "models: [big]", 11, `tenants[0].models[0]: no model "big"`},
		{"task", "queue: 100", "tasks: [sum]", 14, `tenants[0].tasks[0]: no task "sum"`},
		{"collection", "[docs]", "['*']", 12, "tenants[0].collections[0]: character '*'"},
		{"rate", "per_second: 10", "per_second: -1", 13, "tenants[0].rate.per_second: per_second is -1"},
		{"no rate", "per_second: 10, ", "", 13, "tenants[0].rate.per_second: per_second is 0"},
		{"queue", "queue: 100", "queue: -1", 14, "tenants[0].queue: -1 is negative"},
		{"prefix", "weir_AAAAaaaa", "weir_AAAA", 16, "tenants[0].keys[0].prefix: not the prefix of a key"},
		{"prefix twice", "    nats:", "      - {prefix: weir_AAAAaaaa, hash: " + strings.Repeat("cd", 32) + ", scopes: [read]}\n    nats:", 17,
			`tenants[0].keys[1].prefix: "weir_AAAAaaaa" is already the prefix of tenants[0].keys[0]`},
		{"hash", "hash: ab", "hash: xy", 16, "tenants[0].keys[0].hash: not a hash"},
		{"scope", "[submit, read]", "[submit, write]", 16, `tenants[0].keys[0].scopes[1]: unknown value "write"`},
		{"no scope", "[submit, read]", "[]", 16, "tenants[0].keys[0].scopes: no scope"},
		{"expires", "2027-01-31T00:00:00Z", "tomorrow", 16, `tenants[0].keys[0].expires: "tomorrow" is not a time`},
		{"password", `"$2a$04$`, `"hunter2`, 18, "tenants[0].nats[0].password: not a bcrypt hash"},
		{"neither", `password: "$2a$04$` + strings.Repeat("x", 53) + `"`, "", 18, "a user has one of them"},
		{"nkey", `password: "$2a$04$` + strings.Repeat("x", 53) + `"`, "nkey: UABC", 18, "tenants[0].nats[0].nkey: not the public key of a user"},
		{"service user", "user: bravo", "user: " + catalog.ServiceUser, 18, "already the name of Weir's own processes"},
		{"user twice", "    webhooks:", "      - {user: bravo, nkey: U}\n    webhooks:", 19, `tenants[0].nats[1].user: "bravo" is already the name of tenants[0].nats[0].user`},
		{"url", "https://hooks", "http://hooks", 22, "tenants[0].webhooks.endpoints[0].url: not the address of an endpoint"},
		{"user in url", "https://hooks", "https://u:p@hooks", 22, "it has a user or a fragment"},
		{"concurrency", "events: [job.failed]", "concurrency: -1", 22, "tenants[0].webhooks.endpoints[0].concurrency: -1 is out of range"},
		{"secret", valid, secret(23), 20, "tenants[0].webhooks.secrets[0]: not a secret of webhooks"},
		{"long secret", valid, secret(65), 20, "not a secret of webhooks"},
		{"no secret", "secrets: [" + valid + "]", "secrets: []", 20, "endpoints without a secret"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(t, good).WithTenants([]byte(replace(t, tenants, tc.old, tc.with)))
			if err == nil {
				t.Fatal("no error")
			}
			var field *catalog.FieldError
			if !errors.As(err, &field) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if field.Line != tc.line {
				t.Errorf("line %d, want %d: %v", field.Line, tc.line, err)
			}
		})
	}
}

// TestSecretsAreNotShown: a key, password or secret that was written in clear is not
// in the error about it.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	for _, old := range []string{"weir_AAAAaaaa", "ababab", "$2a$04$", "whsec_", "https://hooks"} {
		_, err := parse(t, good).WithTenants([]byte(strings.Replace(tenants, old, "hunter2", 1)))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", old, err)
		}
	}
}

// TestNoCredentialsInTheCatalog: a key there would be asked of nobody.
func TestNoCredentialsInTheCatalog(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"keys: [{prefix: weir_AAAAaaaa}]", "nats: [{user: acme}]"} {
		_, err := catalog.Parse([]byte(replace(t, good, "share: 2", entry)), now())
		if err == nil || !strings.Contains(err.Error(), "WEIR_TENANTS") {
			t.Errorf("%s: got %v", entry, err)
		}
	}
}

func TestPermits(t *testing.T) {
	t.Parallel()
	c, err := parse(t, good).WithTenants([]byte(tenants))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, tenant string
		use          catalog.Use
		field        string // that is refused
	}{
		{"nothing", "bravo", catalog.Use{}, ""},
		{"all of it", "bravo", catalog.Use{Lane: event.LaneInteractive, Model: "small", Collection: "docs"}, ""},
		{"by alias", "bravo", catalog.Use{Model: "cheap"}, ""},
		{"another model", "bravo", catalog.Use{Model: "large"}, "model"},
		{"no model", "bravo", catalog.Use{Model: "unknown"}, "model"},
		{"another lane", "bravo", catalog.Use{Lane: event.LaneBatch}, "lane"},
		{"another collection", "bravo", catalog.Use{Collection: "secret"}, "collection"},
		{"any task", "bravo", catalog.Use{Task: "sum"}, ""},
		{"another tenant", "acme", catalog.Use{Lane: event.LaneBatch, Model: "large", Collection: "secret"}, ""},
		{"a stranger", "nobody", catalog.Use{Model: "large"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := c.Permits(tc.tenant, tc.use)
			if (err == nil) != (tc.field == "") {
				t.Fatalf("got %v", err)
			}
			if e := event.AsError(err); err != nil && (e.Class != event.ClassForbidden || e.Field != tc.field) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// until waits for a condition.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("not yet")
		}
	}
}

// TestWatchTenants: the file is read again when it changes; one that is wrong, or
// goes away, leaves the tenants as they were, and never opens the door.
func TestWatchTenants(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tenants.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(tenants)
	base := parse(t, good)
	files := catalog.Files{Tenants: path}
	c, err := files.Load(base, now())
	if err != nil {
		t.Fatal(err)
	}
	w := catalog.NewWatcher(catalog.WatcherConfig{Files: files, Interval: time.Millisecond, Now: time.Now}, c)
	go w.Run(t.Context()) //nolint:errcheck // ends with the test

	changed := w.Changed()
	write(strings.Replace(tenants, "id: bravo", "id: charlie", 1))
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Fatal("no change")
	}
	latest := w.Current()
	if _, ok := latest.Known("charlie"); !ok || len(latest.Tenants) != 2 || latest.Access.Revision == c.Access.Revision {
		t.Errorf("got %d tenants, %+v", len(latest.Tenants), latest.Access)
	}
	write("version: 3")
	until(t, func() bool { return w.Err() != nil })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { err := w.Err(); return err != nil && strings.Contains(err.Error(), "no such file") })
	if _, ok := w.Current().Known("charlie"); !ok || w.Current().Access == nil {
		t.Error("the tenants are gone with the file")
	}
}

// FuzzTenants: whatever a tenants file says, it is refused or makes tenants that have
// names and keys of the right form.
func FuzzTenants(f *testing.F) {
	for _, seed := range []string{tenants, "", "version: 1", "version: 1\ntenants: []", "version: 1\ntenants: [{id: a, keys: [{}]}]", "oidc: x", "tenants: {a: b}"} {
		f.Add(seed)
	}
	base, err := catalog.Parse([]byte(good), now())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := base.WithTenants([]byte(text))
		if err != nil {
			return
		}
		for _, tenant := range c.Tenants {
			if event.CheckName("id", tenant.ID) != nil {
				t.Errorf("tenant %q", tenant.ID)
			}
			for _, key := range tenant.Keys {
				if len(key.Prefix) != 13 || len(key.Hash) != 64 || len(key.Scopes) == 0 {
					t.Errorf("key %+v", key)
				}
			}
		}
	})
}
