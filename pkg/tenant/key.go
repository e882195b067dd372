package tenant

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
)

// A key is weir_<8 letters or digits>_<40 more>: its start finds and shows it, the
// rest has 238 random bits.
const (
	keyPrefix   = "weir_"
	prefixLen   = len(keyPrefix) + 8
	secretLen   = 40
	keyLen      = prefixLen + 1 + secretLen
	base62Chars = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewKey makes an API key: the secret, to be shown once, and what is kept of it.
func NewKey(name string, scopes []catalog.Scope) (secret string, key catalog.Key) {
	prefix := keyPrefix + random(prefixLen-len(keyPrefix))
	secret = prefix + "_" + random(secretLen)
	return secret, catalog.Key{Name: name, Prefix: prefix, Hash: hashOf(secret), Scopes: scopes}
}

// random is text of letters and digits, each as likely as the others.
func random(n int) string {
	out := make([]byte, 0, n)
	for buf := make([]byte, 2*n); len(out) < n; {
		rand.Read(buf) // never fails
		for _, b := range buf {
			if b < 4*62 && len(out) < n { // 256 is no multiple of 62
				out = append(out, base62Chars[b%62])
			}
		}
	}
	return string(out)
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Source is where authenticators find tenants, keys and the identity provider.
type Source interface{ Current() *catalog.Catalog }

// Keys lets in those who have an API key of a tenant.
type Keys struct {
	source Source
	now    func() time.Time
	index  atomic.Pointer[index]
}

var _ Authenticator = (*Keys)(nil)

// NewKeys returns an authenticator over the keys of the catalog as it is at each
// request.
func NewKeys(source Source, now func() time.Time) *Keys { return &Keys{source: source, now: now} }

// index finds the keys of one catalog by their prefixes.
type index struct {
	of       *catalog.Catalog
	byPrefix map[string]entry
}

type entry struct {
	tenant string
	key    *catalog.Key
}

// find is the key with the prefix of a credential.
func (k *Keys) find(credential string) (entry, bool) {
	if len(credential) != keyLen {
		return entry{}, false
	}
	c := k.source.Current()
	x := k.index.Load()
	if x == nil || x.of != c {
		x = &index{of: c, byPrefix: map[string]entry{}}
		for i := range c.Tenants {
			t := &c.Tenants[i]
			for j := range t.Keys {
				x.byPrefix[t.Keys[j].Prefix] = entry{t.ID, &t.Keys[j]}
			}
		}
		k.index.Store(x)
	}
	e, ok := x.byPrefix[credential[:prefixLen]]
	return e, ok
}

// Authenticate implements Authenticator. An unknown, a wrong and an expired key are
// told in the same words.
func (k *Keys) Authenticate(_ context.Context, bearer, as string) (Principal, error) {
	if bearer == "" {
		return Principal{}, missing()
	}
	e, ok := k.find(bearer)
	if !ok {
		e = entry{key: &catalog.Key{}} // compared all the same
	}
	same := subtle.ConstantTimeCompare([]byte(hashOf(bearer)), []byte(e.key.Hash)) == 1
	if !ok || !same || !e.key.Expires.IsZero() && !k.now().Before(e.key.Expires) {
		return Principal{}, refused()
	}
	return acting(Principal{Tenant: e.tenant, Scopes: e.key.Scopes, Key: e.key.Prefix}, as)
}

// missing is the error of a request without a credential.
func missing() error {
	return &event.Error{Class: event.ClassAuth, Message: "no API key", Hint: "send Authorization: Bearer weir_..."}
}

// refused is the error of any credential that is not valid.
func refused() error {
	return &event.Error{Class: event.ClassAuth, Message: "the API key is not valid", Hint: "ask the operator for one"}
}

// acting is p, which may be no other tenant: whether the other exists is not told.
func acting(p Principal, as string) (Principal, error) {
	if as != "" && as != p.Tenant {
		return Principal{}, &event.Error{Class: event.ClassForbidden, Field: "Weir-Tenant", Message: "the key is of another tenant",
			Hint: "leave the header out: the key says which tenant it is of"}
	}
	return p, nil
}

// isToken reports whether a credential has the form of a signed token.
func isToken(credential string) bool {
	return !strings.HasPrefix(credential, keyPrefix) && strings.Count(credential, ".") == 2
}
