// Package tenant says who a caller is and what it may do: API keys, bearer tokens
// of an identity provider, and the permissions of NATS users.
package tenant

import (
	"context"
	"slices"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
)

// Principal is a caller whose credentials were checked.
type Principal struct {
	Tenant string
	Scopes []catalog.Scope
	// Key is the prefix of the API key, or the subject of a token; "" without
	// authentication.
	Key string
}

// May reports whether the caller may do what needs scope.
func (p Principal) May(scope catalog.Scope) bool {
	return slices.Contains(p.Scopes, scope) || slices.Contains(p.Scopes, catalog.ScopeAdmin)
}

// Authenticator checks the credentials of requests.
type Authenticator interface {
	// Authenticate returns the caller that has a bearer credential ("" when it sent
	// none) and wants to act as a tenant ("" takes its own). The error is of
	// ClassAuth, or ClassUnavailable when it can't be told.
	Authenticate(ctx context.Context, bearer, as string) (Principal, error)
}

// Open lets everybody be any tenant: for a listener that only this machine reaches.
type Open struct{}

// DefaultTenant is the one that an open API works as when the caller names none.
const DefaultTenant = "default"

// Authenticate implements Authenticator.
func (Open) Authenticate(_ context.Context, _, as string) (Principal, error) {
	if as == "" {
		as = DefaultTenant
	}
	return Principal{Tenant: as, Scopes: []catalog.Scope{catalog.ScopeAdmin}}, event.CheckName("tenant", as)
}
