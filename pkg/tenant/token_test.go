package tenant_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tenant"
)

// issuer is an identity provider.
type issuer struct {
	*httptest.Server
	t *testing.T

	mu   sync.Mutex
	keys []jose.JSONWebKey
	down bool
	asks atomic.Int64 // for keys
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.answer(w, map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{"none", "HS256", "RS256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.asks.Add(1)
		var public []jose.JSONWebKey
		i.mu.Lock()
		for _, k := range i.keys {
			public = append(public, k.Public())
		}
		i.mu.Unlock()
		i.answer(w, jose.JSONWebKeySet{Keys: public})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	i.rotate("k1")
	return i
}

func (i *issuer) answer(w http.ResponseWriter, value any) {
	i.mu.Lock()
	down := i.down
	i.mu.Unlock()
	if down {
		http.Error(w, "down", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(value) //nolint:errcheck // a test
}

func (i *issuer) setDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

func newRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rotate replaces the keys by a new one.
func (i *issuer) rotate(id string) {
	i.t.Helper()
	key := newRSA(i.t)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = []jose.JSONWebKey{{Key: key, KeyID: id, Algorithm: "RS256", Use: "sig"}}
}

func (i *issuer) current() jose.JSONWebKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[0]
}

// claims are those of a valid token, changed.
func (i *issuer) claims(change map[string]any) map[string]any {
	c := map[string]any{"iss": i.URL, "aud": "weir", "sub": "user-1", "exp": clock().Add(time.Hour).Unix(), "iat": clock().Unix(), "tenant": "acme"}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func (i *issuer) token(change map[string]any) string {
	return signed(i.t, jose.SigningKey{Algorithm: jose.RS256, Key: i.current()}, i.claims(change))
}

func signed(t *testing.T, key jose.SigningKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign(data)
	if err != nil {
		t.Fatal(err)
	}
	text, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// ticking is a clock that the test moves.
type ticking struct{ offset atomic.Int64 }

func (c *ticking) now() time.Time          { return clock().Add(time.Duration(c.offset.Load())) }
func (c *ticking) forward(d time.Duration) { c.offset.Add(int64(d)) }

func (i *issuer) auth(scopeClaim string) (tenant.Authenticator, *ticking) {
	access := &catalog.Access{OIDC: &catalog.OIDC{Issuer: i.URL, Audience: "weir", ScopeClaim: scopeClaim}}
	c := &ticking{}
	source := &fixed{&catalog.Catalog{Access: access, Tenants: []catalog.Tenant{{ID: "acme"}, {ID: "bravo"}}}}
	return tenant.Of(tenant.Config{Source: source, Now: c.now}), c
}

func TestTokens(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	auth, _ := i.auth("")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + strings.Split(i.token(nil), ".")[1] + "."
	// A server that trusts the header would take the public key as the secret.
	rsaKey, ok := i.current().Key.(*rsa.PrivateKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	der, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	confused := signed(t, jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: public, KeyID: "k1"}}, i.claims(nil))
	stranger := signed(t, jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: newRSA(t), KeyID: "k1"}}, i.claims(nil))
	valid := i.token(nil)
	parts := strings.Split(valid, ".")
	for _, tc := range []struct {
		name, token, as, tenant string
		class                   event.Class
	}{
		{"valid", valid, "", "acme", ""},
		{"for others too", i.token(map[string]any{"aud": []string{"other", "weir"}}), "acme", "acme", ""},
		{"another tenant's header", valid, "bravo", "", event.ClassForbidden},
		{"no one's header", valid, "nobody", "", event.ClassForbidden},
		{"another tenant", i.token(map[string]any{"tenant": "bravo"}), "", "bravo", ""},
		{"unknown tenant", i.token(map[string]any{"tenant": "nobody"}), "", "", event.ClassAuth},
		{"no name", i.token(map[string]any{"tenant": "*"}), "", "", event.ClassAuth},
		{"list of tenants", i.token(map[string]any{"tenant": []string{"acme"}}), "", "", event.ClassAuth},
		{"no tenant", i.token(map[string]any{"tenant": nil}), "", "", event.ClassAuth},
		{"wrong audience", i.token(map[string]any{"aud": "other"}), "", "", event.ClassAuth},
		{"no audience", i.token(map[string]any{"aud": nil}), "", "", event.ClassAuth},
		{"wrong issuer", i.token(map[string]any{"iss": "https://evil.example"}), "", "", event.ClassAuth},
		{"expired", i.token(map[string]any{"exp": clock().Add(-time.Second).Unix()}), "", "", event.ClassAuth},
		{"no expiry", i.token(map[string]any{"exp": nil}), "", "", event.ClassAuth},
		{"not yet valid", i.token(map[string]any{"nbf": clock().Add(time.Hour).Unix()}), "", "", event.ClassAuth},
		{"alg none", none, "", "", event.ClassAuth},
		{"HS256 with the public key", confused, "", "", event.ClassAuth},
		{"signed by a stranger", stranger, "", "", event.ClassAuth},
		{"another body", parts[0] + "." + strings.Split(i.token(map[string]any{"tenant": "bravo"}), ".")[1] + "." + parts[2], "", "", event.ClassAuth},
		{"no signature", parts[0] + "." + parts[1] + ".", "", "", event.ClassAuth},
		{"too long", valid + strings.Repeat("A", 16<<10), "", "", event.ClassAuth},
		{"nothing", "..", "", "", event.ClassAuth},
		{"no credential", "", "", "", event.ClassAuth},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, err := auth.Authenticate(t.Context(), tc.token, tc.as)
			if p.Tenant != tc.tenant || class(err) != tc.class {
				t.Fatalf("got %+v, %v", p, err)
			}
			if err == nil && (p.Key != "user-1" || !p.May(catalog.ScopeSubmit) || !p.May(catalog.ScopeRead) || p.May(catalog.ScopeAdmin)) {
				t.Errorf("got %+v", p)
			}
		})
	}
}

func TestTokenScopes(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	auth, _ := i.auth("scope")
	for name, tc := range map[string]struct {
		claim any
		want  []catalog.Scope
	}{
		"text":    {"openid weir:read submit", []catalog.Scope{catalog.ScopeRead, catalog.ScopeSubmit}},
		"list":    {[]string{"admin"}, []catalog.Scope{catalog.ScopeAdmin}},
		"others":  {"openid profile", nil},
		"none":    {nil, nil},
		"nothing": {7, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := auth.Authenticate(t.Context(), i.token(map[string]any{"scope": tc.claim}), "")
			if err != nil || !slices.Equal(p.Scopes, tc.want) {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

// TestRotatedKeys: a new key is found, the old one is refused in the end, and tokens
// of unknown keys don't make Weir hammer the provider.
func TestRotatedKeys(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	auth, c := i.auth("")
	old := i.token(nil)
	wants := func(token string, want event.Class) {
		t.Helper()
		if _, err := auth.Authenticate(t.Context(), token, ""); class(err) != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	wants(old, "")
	i.rotate("k2")
	c.forward(time.Minute)
	wants(i.token(nil), "")
	// The key set keeps the new keys a moment after the first token was checked by them.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		if _, err := auth.Authenticate(t.Context(), old, ""); err != nil {
			break
		}
	}
	wants(old, event.ClassAuth)
	c.forward(time.Minute)
	before := i.asks.Load()
	for range 100 {
		wants(old, event.ClassAuth)
	}
	if n := i.asks.Load() - before; n > 1 {
		t.Errorf("asked for keys %d times", n)
	}
}

// TestWithdrawnKey: a key that the provider took back is refused though no token of
// an unknown key came.
func TestWithdrawnKey(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	auth, c := i.auth("")
	stolen := i.token(map[string]any{"exp": clock().Add(24 * time.Hour).Unix()})
	if _, err := auth.Authenticate(t.Context(), stolen, ""); err != nil {
		t.Fatal(err)
	}
	i.rotate("k2")
	c.forward(2 * time.Hour)
	if _, err := auth.Authenticate(t.Context(), stolen, ""); class(err) != event.ClassAuth {
		t.Errorf("got %v", err)
	}
}

// TestProviderDown: it is not the token's fault; what is known goes on being taken.
func TestProviderDown(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	auth, c := i.auth("")
	i.setDown(true)
	_, err := auth.Authenticate(t.Context(), i.token(nil), "")
	if e := event.AsError(err); class(err) != event.ClassUnavailable || e.RetryAfter == 0 || strings.Contains(e.Error(), i.URL) {
		t.Fatalf("got %v", err)
	}
	i.setDown(false)
	if _, err := auth.Authenticate(t.Context(), i.token(nil), ""); class(err) != event.ClassUnavailable {
		t.Errorf("asked again at once: %v", err)
	}
	c.forward(time.Minute)
	known := i.token(map[string]any{"exp": clock().Add(24 * time.Hour).Unix()})
	if _, err := auth.Authenticate(t.Context(), known, ""); err != nil {
		t.Fatal(err)
	}
	i.setDown(true)
	c.forward(2 * time.Hour) // its settings are to be asked for again
	if _, err := auth.Authenticate(t.Context(), known, ""); err != nil {
		t.Errorf("a known key while the provider is down: %v", err)
	}
	i.rotate("k2")
	if _, err := auth.Authenticate(t.Context(), i.token(map[string]any{"exp": clock().Add(24 * time.Hour).Unix()}), ""); class(err) != event.ClassUnavailable {
		t.Errorf("an unknown key while the provider is down: %v", err)
	}
}

// TestProviderHangs: a request does not wait longer than its context.
func TestProviderHangs(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 1)
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(hanging.Close)
	access := &catalog.Access{OIDC: &catalog.OIDC{Issuer: hanging.URL, Audience: "weir"}}
	auth := tenant.Of(tenant.Config{Source: &fixed{&catalog.Catalog{Access: access}}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := auth.Authenticate(ctx, "a.b.c", "")
			ended <- err
		}()
	}
	<-arrived
	cancel()
	for range 2 {
		if err := <-ended; class(err) != event.ClassUnavailable {
			t.Errorf("got %v", err)
		}
	}
}
