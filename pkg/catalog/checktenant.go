package catalog

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/weir-dev/weir/pkg/event"
)

// ServiceUser is the user of the NATS server that Weir's own processes have where
// tenants have users too: no tenant may take the name.
const ServiceUser = "weir-service"

// Forms of what tools write into a tenants file.
var (
	prefixPattern = regexp.MustCompile(`^weir_[0-9A-Za-z]{8}$`)
	hashPattern   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	bcryptPattern = regexp.MustCompile(`^\$2[aby]\$(0[4-9]|1[0-9])\$[./0-9A-Za-z]{53}$`)
	claimPattern  = regexp.MustCompile(`^[!-~]{1,256}$`)
)

// Bounds of a tenant's lists.
const (
	maxKeys = 100
	// minSecret and maxSecret are those of Standard Webhooks, in bytes.
	minSecret, maxSecret = 24, 64
	// maxSecrets are active at once while one is replaced.
	maxSecrets = 4
	// MaxDeliveries bounds the concurrency of an endpoint.
	MaxDeliveries = 1000
)

// access checks a tenants file; k.c is the catalog that it comes to.
func (k *checker) access(f *TenantsFile) {
	if f.Version != 1 {
		k.fail("version", "write version: 1", "version is %d, want 1", f.Version)
	}
	if f.OIDC != nil {
		k.oidc(f.OIDC)
	}
	ids, prefixes, users := map[string]string{}, map[string]string{}, map[string]string{ServiceUser: "Weir's own processes"}
	for i := range f.Tenants {
		t, path := &f.Tenants[i], fmt.Sprintf("tenants[%d]", i)
		k.name(path+".id", t.ID, ids)
		if slices.ContainsFunc(k.c.Tenants, func(other Tenant) bool { return other.ID == t.ID }) {
			k.fail(path+".id", "leave it in one of the two", "%q is in the catalog file already", t.ID)
		}
		k.tenant(t, path)
		k.uses(t, path)
		k.keys(t, path, prefixes)
		k.users(t, path, users)
	}
}

func (k *checker) oidc(o *OIDC) {
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !isPrivate(u) {
		k.fail("oidc.issuer", "write https://host/path as in the tokens' claim iss; http is for this machine alone", "not the address of an issuer")
	}
	if o.Audience == "" {
		k.fail("oidc.audience", "write the audience that the tokens for Weir have", "missing: a token for any other service would be taken")
	}
	for field, claim := range map[string]string{"tenant_claim": o.TenantClaim, "scope_claim": o.ScopeClaim} {
		if claim != "" && !claimPattern.MatchString(claim) {
			k.fail("oidc."+field, "write the name of a claim", "%q is not the name of a claim", claim)
		}
	}
}

// isPrivate reports whether nobody reads what is sent to an address: by https, or
// since it does not leave this machine.
func isPrivate(u *url.URL) bool {
	host := u.Hostname()
	ip := net.ParseIP(host)
	return u.Scheme == "https" || u.Scheme == "http" && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// tenants checks those of a catalog file.
func (k *checker) tenants() {
	ids := map[string]string{}
	for i := range k.c.Tenants {
		path := fmt.Sprintf("tenants[%d]", i)
		k.name(path+".id", k.c.Tenants[i].ID, ids)
		k.tenant(&k.c.Tenants[i], path)
		k.keyless(&k.c.Tenants[i], path)
		k.models(&k.c.Tenants[i], path)
	}
	if k.c.Default.ID != "" {
		k.fail("default_tenant.id", "leave it out: it is for all tenants that are not listed", "the default has no id")
	}
	k.tenant(&k.c.Default, "default_tenant")
	k.keyless(&k.c.Default, "default_tenant")
	k.models(&k.c.Default, "default_tenant")
}

// keyless: without a tenants file nobody is asked for a key, so one in the catalog
// would be a lock on no door.
func (k *checker) keyless(t *Tenant, path string) {
	for field, n := range map[string]int{"keys": len(t.Keys), "nats": len(t.NATS)} {
		if n > 0 {
			k.fail(path+"."+field, "move the tenant to the file that WEIR_TENANTS names", "a catalog file holds no credentials of tenants")
		}
	}
}

func (k *checker) tenant(t *Tenant, path string) {
	if !finite(t.Share, maxFactor) || t.Share == 0 && k.has(path+".share") {
		k.fail(path+".share", fmt.Sprintf("write more than 0, at most %d; 1 is the default", maxFactor), "share is %v", t.Share)
	}
	k.budget(t.Budget, path+".budget")
	for i, lane := range t.Lanes {
		k.oneOf(fmt.Sprintf("%s.lanes[%d]", path, i), string(lane), string(event.LaneInteractive), string(event.LaneBatch))
	}
	for field, names := range map[string][]string{"tasks": t.Tasks, "collections": t.Collections} {
		for i, name := range names {
			at := fmt.Sprintf("%s.%s[%d]", path, field, i)
			if err := event.AsError(event.CheckName(at, name)); err != nil {
				k.fail(at, err.Hint, "%s", err.Message)
			}
		}
	}
	if !finite(t.Rate.PerSecond, 1e6) || t.Rate.PerSecond == 0 && k.has(path+".rate") {
		k.fail(path+".rate.per_second", "write more than 0, or leave rate out for no bound", "per_second is %v", t.Rate.PerSecond)
	}
	k.notNegative(path+".rate.burst", int64(t.Rate.Burst))
	k.notNegative(path+".queue", t.Queue)
	k.webhooks(&t.Webhooks, path+".webhooks")
}

func (k *checker) budget(b *Budget, path string) {
	if b == nil {
		return
	}
	n, err := parseUSD(b.USD)
	if err != nil || n <= 0 {
		k.fail(path+".usd", `write dollars with at most nine decimals, such as "12.50"`, "%q is not an amount above 0", b.USD)
	}
	k.oneOf(path+".period", b.Period, PeriodDay, PeriodMonth)
	k.oneOf(path+".policy", b.Policy, "", PolicyWait, PolicyFail)
	if !finite(b.AlertAt, 1) {
		k.fail(path+".alert_at", "write a part of the budget, such as 0.8", "alert_at is %v, want 0 to 1", b.AlertAt)
	}
}

// uses checks what a tenant's entry names of the rest.
func (k *checker) uses(t *Tenant, path string) {
	k.models(t, path)
	for i, task := range t.Tasks {
		if !slices.Contains(k.c.Tasks(), task) {
			k.fail(fmt.Sprintf("%s.tasks[%d]", path, i), "name a task of the policies (WEIR_POLICIES)", "no task %q", task)
		}
	}
}

func (k *checker) models(t *Tenant, path string) {
	for i, model := range t.Models {
		if _, ok := k.c.Model(model); !ok {
			k.fail(fmt.Sprintf("%s.models[%d]", path, i), "name a model of the catalog", "no model %q", model)
		}
	}
}

// keys checks API keys. What is wrong with one is told without showing it: it may
// have been written here in clear.
func (k *checker) keys(t *Tenant, path string, seen map[string]string) {
	if len(t.Keys) > maxKeys {
		k.fail(path+".keys", fmt.Sprintf("a tenant has at most %d", maxKeys), "%d keys", len(t.Keys))
	}
	for i := range t.Keys {
		key, at := &t.Keys[i], fmt.Sprintf("%s.keys[%d]", path, i)
		switch other, taken := seen[key.Prefix]; {
		case !prefixPattern.MatchString(key.Prefix):
			k.fail(at+".prefix", "make keys with weir tenant key", "not the prefix of a key (weir_ and 8 letters or digits)")
		case taken:
			k.fail(at+".prefix", "make another key with weir tenant key", "%q is already the prefix of %s", key.Prefix, other)
		default:
			seen[key.Prefix] = at
		}
		if !hashPattern.MatchString(key.Hash) {
			k.fail(at+".hash", "write the SHA-256 of the key in hex, never the key", "not a hash")
		}
		if len(key.Scopes) == 0 {
			k.fail(at+".scopes", "list what the key may do: submit, read, admin", "no scope")
		}
		for j, scope := range key.Scopes {
			k.oneOf(fmt.Sprintf("%s.scopes[%d]", at, j), string(scope), string(ScopeSubmit), string(ScopeRead), string(ScopeAdmin))
		}
	}
}

// users checks users of the NATS server.
func (k *checker) users(t *Tenant, path string, seen map[string]string) {
	for i, u := range t.NATS {
		at := fmt.Sprintf("%s.nats[%d]", path, i)
		if u.User == "" && u.NKey != "" { // such a user has no name but its key
			if other, taken := seen[u.NKey]; taken {
				k.fail(at+".nkey", "give each user a key of its own", "the key is already that of %s", other)
			}
			seen[u.NKey] = at
		} else {
			k.name(at+".user", u.User, seen)
		}
		switch {
		case (u.Password == "") == (u.NKey == ""):
			k.fail(at, "write either password (a bcrypt hash) or nkey (a public key)", "a user has one of them")
		case u.Password != "" && !bcryptPattern.MatchString(u.Password):
			k.fail(at+".password", "write the bcrypt hash of the password, never the password", "not a bcrypt hash")
		case u.NKey != "" && !nkeys.IsValidPublicUserKey(u.NKey):
			k.fail(at+".nkey", "write the public key of a user, U...; never the seed", "not the public key of a user")
		}
	}
}

func (k *checker) webhooks(w *Webhooks, path string) {
	if len(w.Secrets) > maxSecrets {
		k.fail(path+".secrets", "leave the old ones out", "%d secrets, more than %d", len(w.Secrets), maxSecrets)
	}
	for i, s := range w.Secrets {
		text, ok := strings.CutPrefix(s, "whsec_")
		data, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(data) < minSecret || len(data) > maxSecret {
			k.fail(fmt.Sprintf("%s.secrets[%d]", path, i), fmt.Sprintf("write whsec_ and the base64 of %d to %d random bytes", minSecret, maxSecret), "not a secret of webhooks")
		}
	}
	if len(w.Endpoints) > 0 && len(w.Secrets) == 0 {
		k.fail(path+".secrets", "write whsec_ and the base64 of 32 random bytes", "endpoints without a secret: nobody could tell who calls them")
	}
	ids := map[string]string{}
	for i, e := range w.Endpoints {
		at := fmt.Sprintf("%s.endpoints[%d]", path, i)
		k.name(at+".id", e.ID, ids)
		k.endpoint(e, at)
	}
}

func (k *checker) endpoint(e Endpoint, path string) {
	u, err := url.Parse(e.URL)
	if err != nil || u.Host == "" || !isPrivate(u) {
		k.fail(path+".url", "write https://host/path; http is for this machine alone", "not the address of an endpoint") // it may hold a password
	} else if u.User != nil || u.Fragment != "" {
		k.fail(path+".url", "leave user, password and fragment out", "it has a user or a fragment")
	}
	if e.Concurrency < 0 || e.Concurrency > MaxDeliveries {
		k.fail(path+".concurrency", fmt.Sprintf("write 1 to %d, or leave it out", MaxDeliveries), "%d is out of range", e.Concurrency)
	}
}
