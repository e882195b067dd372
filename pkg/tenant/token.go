package tenant

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
)

// Bounds of dealing with the identity provider.
const (
	// maxToken bounds a token, in bytes.
	maxToken = 16 << 10
	// maxAnswer bounds what the provider answers, in bytes.
	maxAnswer = 1 << 20
	// askTimeout bounds one question to it.
	askTimeout = 10 * time.Second
	// refreshAfter is how long its settings and keys are used before they are asked
	// for again: a key that it withdrew is no longer taken then.
	refreshAfter = time.Hour
	// askEvery is the least time between questions for keys, or after a failure: a
	// token can name any key it likes, and each unknown one asks.
	askEvery = 5 * time.Second
)

// defaultTenantClaim is the claim that names the tenant when the file names none.
const defaultTenantClaim = "tenant"

// algorithms are those with a public key: a token that is signed with anything the
// provider publishes, or with nothing, is nobody's.
func algorithms() []string {
	return []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}
}

// Tokens lets in those who have a bearer token of the identity provider that the
// tenants file names.
type Tokens struct {
	cfg Config
	// turn holds a value while nobody asks the provider for its settings.
	turn    chan struct{}
	current atomic.Pointer[provider]
}

var _ Authenticator = (*Tokens)(nil)

// NewTokens returns an authenticator over the provider of the catalog as it is at
// each request. It does no I/O.
func NewTokens(cfg Config) *Tokens {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	client := http.Client{}
	if cfg.Client != nil {
		client = *cfg.Client
	}
	if client.Timeout == 0 {
		client.Timeout = askTimeout
	}
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	client.Transport = bounded{next}
	cfg.Client = &client
	t := &Tokens{cfg: cfg, turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	return t
}

// provider is an identity provider as it was found.
type provider struct {
	settings catalog.OIDC
	verifier *oidc.IDTokenVerifier
	at       time.Time // it was asked
	err      error     // why it is not known
}

// Authenticate implements Authenticator. A token that is not valid is refused in the
// same words whatever is wrong with it.
func (t *Tokens) Authenticate(ctx context.Context, bearer, as string) (Principal, error) {
	access := t.cfg.Source.Current().Access
	if access == nil || access.OIDC == nil || len(bearer) > maxToken || !isToken(bearer) {
		return Principal{}, refused()
	}
	p, err := t.provider(ctx, *access.OIDC)
	if err != nil {
		return Principal{}, err
	}
	var trouble error
	token, err := p.verifier.Verify(context.WithValue(ctx, troubleKey{}, &trouble), bearer)
	if trouble != nil {
		return Principal{}, unreachable(trouble)
	}
	if err != nil {
		return Principal{}, refused()
	}
	who, err := t.principal(token, p.settings)
	if err != nil {
		return Principal{}, err
	}
	return acting(who, as)
}

// principal is whom a valid token speaks for.
func (t *Tokens) principal(token *oidc.IDToken, settings catalog.OIDC) (Principal, error) {
	var claims map[string]json.RawMessage
	if err := token.Claims(&claims); err != nil {
		return Principal{}, refused()
	}
	claim := settings.TenantClaim
	if claim == "" {
		claim = defaultTenantClaim
	}
	var id string
	if json.Unmarshal(claims[claim], &id) != nil || event.CheckName(claim, id) != nil {
		return Principal{}, noTenant(claim)
	}
	if _, ok := t.cfg.Source.Current().Known(id); !ok {
		return Principal{}, noTenant(claim)
	}
	p := Principal{Tenant: id, Key: token.Subject, Scopes: []catalog.Scope{catalog.ScopeSubmit, catalog.ScopeRead}}
	if settings.ScopeClaim != "" {
		p.Scopes = scopes(claims[settings.ScopeClaim])
	}
	return p, nil
}

func noTenant(claim string) error {
	return &event.Error{Class: event.ClassAuth, Field: claim, Message: "the token names no tenant of this Weir",
		Hint: "the claim must hold the id of an entry of the tenants file"}
}

// scopes reads a claim: a list, or a text with blanks. Words of other services are
// passed over.
func scopes(claim json.RawMessage) []catalog.Scope {
	var words []string
	var text string
	if json.Unmarshal(claim, &words) != nil && json.Unmarshal(claim, &text) == nil {
		words = strings.Fields(text)
	}
	var out []catalog.Scope
	for _, word := range words {
		scope := catalog.Scope(strings.TrimPrefix(word, "weir:"))
		if slices.Contains([]catalog.Scope{catalog.ScopeSubmit, catalog.ScopeRead, catalog.ScopeAdmin}, scope) {
			out = append(out, scope)
		}
	}
	return out
}

// provider finds the identity provider, and again when it was long ago or the file
// names another. One request asks, the others wait for it; the old settings serve
// while the provider is down.
func (t *Tokens) provider(ctx context.Context, settings catalog.OIDC) (*provider, error) {
	if p, ok := t.fresh(settings); ok {
		return p, p.err
	}
	select {
	case <-t.turn:
		defer func() { t.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, unreachable(context.Cause(ctx))
	}
	if p, ok := t.fresh(settings); ok {
		return p, p.err
	}
	old, next := t.current.Load(), &provider{settings: settings, at: t.cfg.Now()}
	next.verifier, next.err = t.discover(ctx, settings)
	if next.err != nil && ctx.Err() != nil {
		return nil, next.err // says nothing of the provider
	}
	if next.err != nil && old != nil && old.settings == settings && old.verifier != nil {
		next.verifier, next.err = old.verifier, nil
		next.at = next.at.Add(askEvery - refreshAfter) // ask again soon
	}
	t.current.Store(next)
	return next, next.err
}

// fresh is the provider of the settings, if it was asked lately.
func (t *Tokens) fresh(settings catalog.OIDC) (*provider, bool) {
	p := t.current.Load()
	if p == nil || p.settings != settings {
		return nil, false
	}
	age := refreshAfter
	if p.err != nil {
		age = askEvery
	}
	return p, t.cfg.Now().Sub(p.at) < age
}

func (t *Tokens) discover(ctx context.Context, settings catalog.OIDC) (*oidc.IDTokenVerifier, error) {
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, t.cfg.Client), settings.Issuer)
	if err != nil {
		return nil, unreachable(err)
	}
	var document struct {
		Keys string `json:"jwks_uri"`
	}
	if err := found.Claims(&document); err != nil {
		return nil, unreachable(err)
	}
	if document.Keys == "" {
		return nil, unreachable(errors.New("its settings name no jwks_uri"))
	}
	keys := newKeySet(context.WithoutCancel(ctx), t.cfg.Client, t.cfg.Now, document.Keys) // they outlive the request
	return oidc.NewVerifier(settings.Issuer, keys, &oidc.Config{
		ClientID: settings.Audience, SupportedSigningAlgs: algorithms(), Now: t.cfg.Now}), nil
}

func unreachable(err error) error {
	return &event.Error{Class: event.ClassUnavailable, Message: "the identity provider can't be asked", RetryAfter: askEvery,
		Hint: "try again later; the operator may look at oidc.issuer in the tenants file", Err: err}
}

// bounded cuts answers that are too long: they don't decode then.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}
