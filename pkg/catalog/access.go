package catalog

import (
	"reflect"
	"slices"
)

// Access says who may come in: what the tenants file holds besides the tenants
// themselves. A catalog without it lets everybody in.
type Access struct {
	// Revision names this state of the tenants file.
	Revision string
	// OIDC is the identity provider whose tokens are taken; nil takes none.
	OIDC *OIDC

	own int // so many tenants are of the catalog file
}

// OIDC is an identity provider (OpenID Connect) and how its tokens are read.
type OIDC struct {
	// Issuer is the provider's address, as its tokens name it.
	Issuer string `yaml:"issuer"`
	// Audience is who the tokens must be for.
	Audience string `yaml:"audience"`
	// TenantClaim is the claim that names the tenant; "" is tenant.
	TenantClaim string `yaml:"tenant_claim,omitempty"`
	// ScopeClaim is the claim that lists what the caller may do, in a list or a text
	// with blanks: submit, read, admin, each with or without "weir:" before it. With
	// "" every token may submit and read.
	ScopeClaim string `yaml:"scope_claim,omitempty"`
}

// TenantsFile is the content of a tenants file.
type TenantsFile struct {
	Version int      `yaml:"version"`
	OIDC    *OIDC    `yaml:"oidc,omitempty"`
	Tenants []Tenant `yaml:"tenants"`
}

// revision is that of the tenants file, "" without one.
func (a *Access) revision() string {
	if a == nil {
		return ""
	}
	return a.Revision
}

// WithTenants is c with the tenants of a tenants file. The errors are as Parse's, of
// that file: they never show a hash or a secret.
func (c *Catalog) WithTenants(data []byte) (*Catalog, error) {
	d, f := newDecoder(), &TenantsFile{}
	d.what = "version and tenants"
	root, ok := d.parseYAML(data)
	if !ok {
		return nil, d.err()
	}
	d.decode(root, reflect.ValueOf(f).Elem(), "")
	(&checker{decoder: d, c: c}).access(f)
	if err := d.err(); err != nil {
		return nil, err
	}
	out := *c
	for i := range f.Tenants {
		f.Tenants[i].Models = c.ids(f.Tenants[i].Models)
	}
	out.Tenants = append(slices.Clip(c.Tenants), f.Tenants...)
	out.Access = &Access{Revision: contentHash(data), OIDC: f.OIDC, own: len(c.Tenants)}
	return &out, nil
}

// bare is c without what comes from files beside its own.
func (c *Catalog) bare() *Catalog {
	out := *c
	if a := c.Access; a != nil {
		out.Tenants = slices.Clip(c.Tenants[:a.own])
	}
	out.Routing, out.Access = nil, nil
	return &out
}

// Known finds a tenant that has an entry.
func (c *Catalog) Known(id string) (Tenant, bool) {
	i := slices.IndexFunc(c.Tenants, func(t Tenant) bool { return t.ID == id })
	if i < 0 {
		return Tenant{}, false
	}
	return c.Tenants[i].withDefaults(), true
}
