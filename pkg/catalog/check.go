package catalog

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // reset_zone must be known on machines without a zone database

	"github.com/weir-dev/weir/pkg/event"
)

// checker checks what a catalog says; the decoder has checked its form.
type checker struct {
	*decoder
	c   *Catalog
	now time.Time
}

// Bounds that keep sums in range; no real value comes near them.
const (
	maxPrice  = 1_000_000_000 // nano-USD: one dollar a token
	maxFactor = 1000
	maxConns  = 100_000
)

// envPattern is a variable that a shell can set.
var envPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (k *checker) catalog() {
	if k.c.Version != 1 {
		k.fail("version", "write version: 1", "version is %d, want 1", k.c.Version)
	}
	k.revision()
	if len(k.c.Providers) == 0 {
		k.fail("providers", "list at least one", "no provider")
	}
	if len(k.c.Models) == 0 {
		k.fail("models", "list at least one", "no model")
	}
	ids := map[string]string{}
	for i := range k.c.Providers {
		path := fmt.Sprintf("providers[%d]", i)
		k.name(path+".id", k.c.Providers[i].ID, ids)
		k.provider(&k.c.Providers[i], path)
	}
	ids = map[string]string{}
	for i := range k.c.Models {
		path := fmt.Sprintf("models[%d]", i)
		k.name(path+".id", k.c.Models[i].ID, ids)
		for j, alias := range k.c.Models[i].Aliases {
			k.name(fmt.Sprintf("%s.aliases[%d]", path, j), alias, ids)
		}
		k.model(&k.c.Models[i], path)
	}
	k.groups()
	k.fallbacks()
	k.tenants()
	k.collections()
}

// revision goes into records and a label of a metric.
func (k *checker) revision() {
	if len(k.c.Revision) > 64 || strings.ContainsFunc(k.c.Revision, func(r rune) bool { return r <= ' ' || r > '~' }) {
		k.fail("revision", "use at most 64 characters of ASCII without blanks, or leave it out", "revision %q", k.c.Revision)
	}
}

// name checks a name and that it is the only one of its kind.
func (k *checker) name(path, name string, seen map[string]string) {
	if err := event.AsError(event.CheckName(path, name)); err != nil {
		k.fail(path, err.Hint, "%s", err.Message)
		return
	}
	if other, ok := seen[name]; ok {
		k.fail(path, "give each its own name", "%q is already the name of %s", name, other)
		return
	}
	seen[name] = path
}

// oneOf checks a word that may be left out if the list has "".
func (k *checker) oneOf(path, got string, want ...string) {
	if !slices.Contains(want, got) {
		want = slices.DeleteFunc(want, func(s string) bool { return s == "" })
		k.fail(path, "use one of "+strings.Join(want, ", "), "unknown value %q", got)
	}
}

// batch checks the bounds of one request.
func (k *checker) batch(b Batch, path string) {
	for _, f := range []struct {
		name string
		n    int
	}{{"items", b.Items}, {"tokens", b.Tokens}, {"bytes", b.Bytes}} {
		if f.n < 0 || f.n > maxCounting {
			k.fail(path+"."+f.name, fmt.Sprintf("write 1 to %d, or leave it out", maxCounting), "%d is out of range", f.n)
		}
	}
}

func (k *checker) notNegative(path string, n int64) {
	if n < 0 {
		k.fail(path, "write 0 or more", "%d is negative", n)
	}
}

// day checks a date, if there is one.
func (k *checker) day(path, day string) {
	if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
		k.fail(path, "write a day as 2006-01-02", "%q is not a day", day)
	}
}

func (k *checker) provider(p *Provider, path string) {
	u, err := url.Parse(p.BaseURL)
	switch {
	case p.BaseURL == "":
		k.fail(path+".base_url", "write the address up to and including the version, https://api.openai.com/v1", "missing")
	case err != nil:
		k.fail(path+".base_url", "write http(s)://host/path", "not a URL") // url.Parse quotes its input, which may hold a password
	case (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		k.fail(path+".base_url", "write http(s)://host/path", "%q is not an http(s) URL", u.Redacted())
	case u.User != nil:
		k.fail(path+".base_url", "name the variable of the key in api_key_env", "it holds a user or password")
	case u.RawQuery != "" || u.Fragment != "":
		k.fail(path+".base_url", "write parameters under query", "%q has a query or fragment", u.Redacted())
	}
	if p.KeyEnv != "" && !envPattern.MatchString(p.KeyEnv) {
		// A key that was written here by mistake must not be shown.
		k.fail(path+".api_key_env", "write the name of the variable, such as OPENAI_API_KEY, never the key", "not the name of an environment variable")
	}
	if p.MaxConns < 0 || p.MaxConns > maxConns {
		k.fail(path+".max_conns", fmt.Sprintf("write 0 (the default, 64) to %d", maxConns), "%d is out of range", p.MaxConns)
	}
	if p.Dialect.Auth != "" { // else it is unknown, which is reported
		k.dialect(&p.Dialect, path+".override")
	}
}

func (k *checker) dialect(d *Dialect, path string) {
	k.oneOf(path+".auth", d.Auth, "bearer", "api-key", "x-api-key", "none")
	k.limiter(&d.Limiter, path+".limiter")
	k.oneOf(path+".estimator", string(d.Estimator), string(Chars4PlusMax), string(TokensPlusMax), string(TokensInput), string(Bytes4), string(NoTokens))
	k.oneOf(path+".settle", d.Settle, "none", "actual")
	k.oneOf(path+".done_marker", d.DoneMarker, "required", "optional")
	k.oneOf(path+".max_tokens_field", d.MaxTokensField, "max_tokens", "max_completion_tokens")
	k.oneOf(path+".rerank", d.Rerank, "", "jina", "cohere", "tei")
	k.batch(d.Batch, path+".batch")
	for i, h := range d.LimitHeaders {
		at := fmt.Sprintf("%s.limit_headers[%d]", path, i)
		k.oneOf(at+".dimension", h.Dimension, "rpm", "tpm", "itpm", "otpm", "rpd", "tpd")
		k.notNegative(at+".rounding", h.Rounding)
		k.oneOf(at+".reset_format", h.ResetFormat, "", "go", "seconds", "rfc3339")
		if h.Reset != "" && h.ResetFormat == "" {
			k.fail(at+".reset_format", "write go, seconds or rfc3339", "missing, though reset names a header")
		}
		if h.Limit == "" && h.Remaining == "" {
			k.fail(at, "name the header of limit or remaining", "no header")
		}
	}
	for i, hint := range d.RetryHints {
		k.oneOf(fmt.Sprintf("%s.retry_hints[%d]", path, i), hint, "retry-after-ms", "retry-after", "body", "message")
	}
	for i, r := range d.Errors {
		k.errorRule(&r, fmt.Sprintf("%s.errors[%d]", path, i))
	}
}

func (k *checker) limiter(l *Limiter, path string) {
	laws := []string{"bucket", "fixed", "sub", "concurrency", "none"}
	k.oneOf(path+".law", l.Law, laws...)
	sub := l.Law == "sub"
	for dimension, law := range l.Laws {
		k.oneOf(path+".laws."+dimension, dimension, "rpm", "tpm", "itpm", "otpm", "rpd", "tpd", "concurrency")
		k.oneOf(path+".laws."+dimension, law, laws...)
		sub = sub || law == "sub"
	}
	if window := time.Duration(l.Sub); sub && window != time.Second && window != 10*time.Second {
		k.fail(path+".sub", "write 1s or 10s", "%s is no sub-window", window)
	}
	if _, err := time.LoadLocation(l.ResetZone); err != nil || l.ResetZone == "Local" {
		k.fail(path+".reset_zone", "write a zone such as America/Los_Angeles, or leave it out for UTC", "unknown time zone %q", l.ResetZone)
	}
}

func (k *checker) errorRule(r *ErrorRule, path string) {
	if len(r.Status)+len(r.Code)+len(r.Contains) == 0 {
		k.fail(path, "set status, code or contains", "the rule would match every failure")
	}
	for i, status := range r.Status {
		if status < 100 || status > 599 {
			k.fail(fmt.Sprintf("%s.status[%d]", path, i), "write 100 to 599", "%d is no HTTP status", status)
		}
	}
	k.oneOf(path+".class", string(r.Class), string(event.ClassInvalid), string(event.ClassTooLarge), string(event.ClassAuth),
		string(event.ClassQuota), string(event.ClassContent), string(event.ClassThrottled), string(event.ClassRamp),
		string(event.ClassUnavailable), string(event.ClassTruncated), string(event.ClassInternal))
}

// finite reports whether f is a number from 0 to limit.
func finite(f, limit float64) bool { return !math.IsNaN(f) && f >= 0 && f <= limit }
