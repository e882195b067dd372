package tenant

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Config is what an authenticator works with.
type Config struct {
	// Source holds the tenants; their file may change at any time.
	Source Source
	// Client asks the identity provider; nil takes one with timeouts.
	Client *http.Client
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Of returns the authenticator that the catalog asks for, request by request: keys,
// and tokens where it names an identity provider, when there is a tenants file;
// else everybody is let in.
func Of(cfg Config) Authenticator {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &both{source: cfg.Source, keys: NewKeys(cfg.Source, cfg.Now), tokens: NewTokens(cfg)}
}

type both struct {
	source Source
	keys   *Keys
	tokens *Tokens
}

// Authenticate implements Authenticator.
func (b *both) Authenticate(ctx context.Context, bearer, as string) (Principal, error) {
	switch access := b.source.Current().Access; {
	case access == nil:
		return Open{}.Authenticate(ctx, bearer, as)
	case access.OIDC != nil && isToken(bearer):
		return b.tokens.Authenticate(ctx, bearer, as)
	}
	return b.keys.Authenticate(ctx, bearer, as)
}

// open reports whether everybody is let in. A tenants file neither comes nor goes
// while a process runs.
func (b *both) open() bool { return b.source.Current().Access == nil }

// IsOpen reports whether an authenticator lets everybody in.
func IsOpen(a Authenticator) bool {
	if b, ok := a.(*both); ok {
		return b.open()
	}
	_, ok := a.(Open)
	return ok
}

// IsLoopback reports whether only this machine reaches an address of a listener,
// host:port. A name other than localhost may be anything.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
