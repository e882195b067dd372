package tenant_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tenant"
)

// fixed is a source that changes when the test says so.
type fixed struct{ c *catalog.Catalog }

func (f *fixed) Current() *catalog.Catalog { return f.c }

func clock() time.Time { return time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC) }

// class is that of an error, "" of none.
func class(err error) event.Class {
	if err == nil {
		return ""
	}
	return event.AsError(err).Class
}

func TestNewKey(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^weir_[0-9A-Za-z]{8}_[0-9A-Za-z]{40}$`)
	seen := map[string]bool{}
	for range 1000 {
		secret, key := tenant.NewKey("ci", []catalog.Scope{catalog.ScopeRead})
		if !form.MatchString(secret) || !strings.HasPrefix(secret, key.Prefix+"_") || strings.Contains(key.Hash, secret) || seen[secret] {
			t.Fatalf("key %q, %+v", secret, key)
		}
		seen[secret] = true
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	mine, kept := tenant.NewKey("", []catalog.Scope{catalog.ScopeRead})
	second, keptSecond := tenant.NewKey("", []catalog.Scope{catalog.ScopeAdmin})
	expired, keptExpired := tenant.NewKey("", []catalog.Scope{catalog.ScopeRead})
	keptExpired.Expires = clock()
	valid, keptValid := tenant.NewKey("", []catalog.Scope{catalog.ScopeRead})
	keptValid.Expires = clock().Add(time.Second)
	stranger, _ := tenant.NewKey("", nil)
	c := &catalog.Catalog{Access: &catalog.Access{}, Tenants: []catalog.Tenant{
		{ID: "acme", Keys: []catalog.Key{kept, keptSecond, keptExpired}}, {ID: "bravo", Keys: []catalog.Key{keptValid}}}}
	auth := tenant.Of(tenant.Config{Source: &fixed{c}, Now: clock})
	const invalid = "the API key is not valid"
	for _, tc := range []struct {
		name, bearer, as, tenant string
		class                    event.Class
		text                     string
	}{
		{"its tenant", mine, "", "acme", "", ""},
		{"named too", mine, "acme", "acme", "", ""},
		{"the second key", second, "", "acme", "", ""},
		{"not yet expired", valid, "", "bravo", "", ""},
		{"another tenant", mine, "bravo", "", event.ClassForbidden, "the key is of another tenant"},
		{"a tenant that is not there", mine, "nobody", "", event.ClassForbidden, "the key is of another tenant"},
		{"no tenant's name", mine, "*", "", event.ClassForbidden, "the key is of another tenant"},
		{"admin is of its tenant too", second, "bravo", "", event.ClassForbidden, "the key is of another tenant"},
		{"none", "", "", "", event.ClassAuth, "no API key"},
		{"expired", expired, "", "", event.ClassAuth, invalid},
		{"unknown", stranger, "", "", event.ClassAuth, invalid},
		{"wrong secret", mine[:len(mine)-1] + "!", "", "", event.ClassAuth, invalid},
		{"prefix alone", kept.Prefix, "", "", event.ClassAuth, invalid},
		{"hash", kept.Hash, "", "", event.ClassAuth, invalid},
		{"longer", mine + "0", "", "", event.ClassAuth, invalid},
		{"a token without a provider", "a.b.c", "", "", event.ClassAuth, invalid},
		{"long", strings.Repeat("x", 1<<20), "", "", event.ClassAuth, invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, err := auth.Authenticate(t.Context(), tc.bearer, tc.as)
			if p.Tenant != tc.tenant || class(err) != tc.class {
				t.Fatalf("got %+v, %v", p, err)
			}
			if err != nil && event.AsError(err).Message != tc.text {
				t.Errorf("got %v, want %q", err, tc.text)
			}
		})
	}
	for bearer, want := range map[string][3]bool{mine: {false, true, false}, second: {true, true, true}} {
		p, err := auth.Authenticate(t.Context(), bearer, "")
		if got := [3]bool{p.May(catalog.ScopeSubmit), p.May(catalog.ScopeRead), p.May(catalog.ScopeAdmin)}; err != nil || got != want {
			t.Errorf("scopes %v, want %v, %v", got, want, err)
		}
	}
}

// TestKeysFollowTheCatalog: a key that is taken out is refused from then on.
func TestKeysFollowTheCatalog(t *testing.T) {
	t.Parallel()
	secret, key := tenant.NewKey("", []catalog.Scope{catalog.ScopeRead})
	source := &fixed{&catalog.Catalog{Access: &catalog.Access{}, Tenants: []catalog.Tenant{{ID: "acme", Keys: []catalog.Key{key}}}}}
	auth := tenant.Of(tenant.Config{Source: source})
	if _, err := auth.Authenticate(t.Context(), secret, ""); err != nil {
		t.Fatal(err)
	}
	source.c = &catalog.Catalog{Access: &catalog.Access{}, Tenants: []catalog.Tenant{{ID: "acme"}}}
	if _, err := auth.Authenticate(t.Context(), secret, ""); class(err) != event.ClassAuth {
		t.Errorf("got %v", err)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	auth := tenant.Of(tenant.Config{Source: &fixed{&catalog.Catalog{}}})
	for as, want := range map[string]string{"": tenant.DefaultTenant, "acme": "acme", "a.b": "-"} {
		p, err := auth.Authenticate(t.Context(), "anything", as)
		if want == "-" {
			var e *event.Error
			if !errors.As(err, &e) || e.Class != event.ClassInvalid {
				t.Errorf("as %q: %v", as, err)
			}
			continue
		}
		if err != nil || p.Tenant != want || !p.May(catalog.ScopeSubmit) {
			t.Errorf("as %q: %+v, %v", as, p, err)
		}
	}
	locked := tenant.Of(tenant.Config{Source: &fixed{&catalog.Catalog{Access: &catalog.Access{}}}})
	if !tenant.IsOpen(auth) || !tenant.IsOpen(tenant.Open{}) || tenant.IsOpen(locked) {
		t.Error("open and locked are mixed up")
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "localhost:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "example.com:1": false, "127.0.0.1": false, "": false, "localhost.example.com:1": false,
	} {
		if got := tenant.IsLoopback(addr); got != want {
			t.Errorf("%q: %t", addr, got)
		}
	}
}

// FuzzKeys: no text but the key is the key, and none breaks anything.
func FuzzKeys(f *testing.F) {
	secret, key := tenant.NewKey("", []catalog.Scope{catalog.ScopeRead})
	oidc := &catalog.OIDC{Issuer: "http://127.0.0.1:1", Audience: "weir"}
	auth := tenant.Of(tenant.Config{Source: &fixed{&catalog.Catalog{Access: &catalog.Access{OIDC: oidc}, Tenants: []catalog.Tenant{{ID: "acme", Keys: []catalog.Key{key}}}}}})
	for _, seed := range []string{"", "weir_", key.Prefix, "a.b.c", "eyJhbGciOiJub25lIn0.e30.", strings.Repeat("weir_", 20)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, bearer string) {
		if p, err := auth.Authenticate(t.Context(), bearer, ""); bearer != secret && (err == nil || p.Tenant != "") {
			t.Errorf("%q is let in as %+v", bearer, p)
		}
	})
}
