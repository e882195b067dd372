package catalog_test

import (
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := parse(t, good)
	small, ok := c.Model("cheap")
	if !ok || small.ID != "small" || small.MaxTokens != 512 || small.Group() != "chat" {
		t.Errorf("small is %+v", small)
	}
	if want := (catalog.Tokens{Encoding: "o200k_base", PerMessage: 3, PerName: 1, Reply: 3, Ratio: 1, Calibrate: small.Tokens.Calibrate}); small.Tokens != want || !*small.Tokens.Calibrate {
		t.Errorf("tokens %+v", small.Tokens)
	}
	if want := (catalog.Timeouts{TTFT: catalog.Duration(30 * time.Second), Idle: catalog.Duration(20 * time.Second), Total: catalog.Duration(3 * time.Minute)}); small.Timeouts != want {
		t.Errorf("timeouts %+v", small.Timeouts)
	}
	large, _ := c.Model("large")
	if large.MaxTokens != 1024 || large.Timeouts.TTFT != large.Timeouts.Total || large.Limits != small.Limits {
		t.Errorf("large is %+v", large)
	}
	embed, _ := c.Model("embed")
	if embed.Group() != "embed" || embed.MaxTokens != 0 {
		t.Errorf("embed is %+v", embed)
	}
	if _, ok := c.Model("huge"); ok {
		t.Error("found a model that is not there")
	}
	if chat, embeds := c.ChatModels(), c.EmbeddingModels(); len(chat) != 2 || chat[1].ID != "large" || len(embeds) != 1 || embeds[0].ID != "embed" {
		t.Errorf("chat %v, embedding %v", chat, embeds)
	}
}

func TestZeroIsKept(t *testing.T) {
	t.Parallel()
	c := parse(t, replace(t, good, "    aliases: [cheap]", "    tokens: {per_message: 0, reply: 0, calibrate: false}"))
	if m, _ := c.Model("small"); m.Tokens.PerMessage != 0 || m.Tokens.Reply != 0 || m.Tokens.PerName != 1 || *m.Tokens.Calibrate {
		t.Errorf("tokens %+v", m.Tokens)
	}
}

func TestRevision(t *testing.T) {
	t.Parallel()
	if c := parse(t, good); c.Revision != "r1" {
		t.Errorf("revision %q", c.Revision)
	}
	text := replace(t, good, "revision: r1\n", "")
	one, same, other := parse(t, text), parse(t, text), parse(t, text+"\n")
	if one.Revision == "" || one.Revision != same.Revision || one.Revision == other.Revision {
		t.Errorf("revisions %q %q %q", one.Revision, same.Revision, other.Revision)
	}
}

func TestOverride(t *testing.T) {
	t.Parallel()
	c := parse(t, replace(t, good, "    dialect: openai", `    dialect: openai
    override:
      limiter: {count_rejected: false}
      base64: false
      idempotency_header: ""
      limit_headers: [{dimension: tpm, remaining: x-left}]
      extra_body: {safe: true, n: 2, deep: {a: [1, null]}}`))
	all, err := catalog.Dialects()
	if err != nil {
		t.Fatal(err)
	}
	want := all["openai"]
	if want.Limiter.Law != "bucket" || !want.Limiter.CountRejected || want.IdempotencyHeader == "" || len(want.LimitHeaders) != 3 {
		t.Fatalf("openai is %+v", want)
	}
	off := false
	want.Limiter.CountRejected, want.Base64, want.IdempotencyHeader = false, &off, ""
	want.LimitHeaders = []catalog.LimitHeader{{Dimension: "tpm", Remaining: "x-left"}}
	want.ExtraBody = map[string]any{"safe": true, "n": uint64(2), "deep": map[string]any{"a": []any{uint64(1), nil}}}
	p, _ := c.Provider("main")
	if !reflect.DeepEqual(p.Dialect, want) {
		t.Errorf("got  %+v\nwant %+v", p.Dialect, want)
	}
	if p, _ := c.Provider("local"); !reflect.DeepEqual(p.Dialect, all["vllm"]) {
		t.Errorf("vllm is %+v", p.Dialect)
	}
}

// TestDialects: each built-in one can be used as it is.
func TestDialects(t *testing.T) {
	t.Parallel()
	all, err := catalog.Dialects()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"openai", "azure", "azure_ptu", "anthropic", "gemini", "groq", "mistral", "cerebras", "openrouter", "vllm", "ollama", "tei", "sim"} {
		d, ok := all[name]
		if !ok || d.StreamUsage == nil || d.Base64 == nil || len(d.RetryHints) == 0 {
			t.Errorf("%s is %+v", name, d)
		}
		parse(t, replace(t, good, "dialect: openai", "dialect: "+name))
	}
	if len(all) != 13 {
		t.Errorf("%d dialects", len(all))
	}
}

func TestChain(t *testing.T) {
	t.Parallel()
	text := "version: 1\nproviders: [{id: p, base_url: http://h/v1, dialect: sim}]\nmodels:\n"
	for id, fallback := range map[string]string{"a": "[b, c]", "b": "[d, x]", "c": "[d]", "d": "[e]", "e": "[]"} {
		alias := ""
		if id == "c" {
			alias = ", aliases: [x]"
		}
		text += "  - {id: " + id + ", provider: p, upstream: u, mode: chat, price: [{input: 0}], fallback: " + fallback + alias + "}\n"
	}
	c := parse(t, text)
	if got := c.Chain("a"); !slices.Equal(got, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("chain %v", got)
	}
	if got := c.Chain("x"); !slices.Equal(got, []string{"c", "d", "e"}) {
		t.Errorf("chain by alias %v", got)
	}
	if got := c.Chain("none"); got != nil {
		t.Errorf("chain of nothing %v", got)
	}
}

func TestPriceAt(t *testing.T) {
	t.Parallel()
	m := catalog.Model{Prices: []catalog.Price{{From: "2026-08-01", Input: 2}, {Input: 1}, {From: "2027-01-01", Input: 3}}}
	zone := time.FixedZone("east", 3600)
	for _, tc := range []struct {
		at   time.Time
		want int64
	}{
		{time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), 1},
		{time.Date(2026, 7, 31, 23, 59, 0, 0, time.UTC), 1},
		{time.Date(2026, 8, 1, 0, 59, 0, 0, zone), 1},
		{time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC), 2},
		{time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), 3},
	} {
		if p, ok := m.PriceAt(tc.at); !ok || p.Input != tc.want {
			t.Errorf("at %s: %v, %v, want %d", tc.at, p, ok, tc.want)
		}
	}
	m.Prices = m.Prices[:1]
	if _, ok := m.PriceAt(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)); ok {
		t.Error("a price before its day")
	}
}

// price has all parts.
func price() catalog.Price {
	cached, write, longCached := int64(25), int64(313), int64(50)
	return catalog.Price{
		Input: 250, Cached: &cached, CacheWrite: &write, Output: 2000, Request: 7,
		Above: []catalog.Above{{InputTokens: 1000, Input: 500, Cached: &longCached, Output: 3000}, {InputTokens: 5000, Input: 600, Output: 4000}},
		Tiers: map[string]float64{"flex": 0.5, "priority": 2, "tenth": 0.1, "free": 0},
	}
}

func TestCost(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		price catalog.Price
		usage catalog.Usage
		tier  string
		want  int64
	}{
		{"nothing", price(), catalog.Usage{}, "", 7},
		{"plain", price(), catalog.Usage{Input: 100, Output: 10}, "", 25000 + 20000 + 7},
		{"cached", price(), catalog.Usage{Input: 100, Cached: 60, CacheWrite: 20, Output: 1}, "", 20*250 + 60*25 + 20*313 + 2000 + 7},
		{"at the threshold", price(), catalog.Usage{Input: 1000}, "", 250000 + 7},
		{"above", price(), catalog.Usage{Input: 1001, Cached: 1, CacheWrite: 100, Output: 1}, "", 1000*500 + 50 + 3000 + 7},
		{"far above", price(), catalog.Usage{Input: 6000, Cached: 6000, Output: 1}, "", 6000*600 + 4000 + 7},
		{"half, rounded up", price(), catalog.Usage{}, "flex", 4},
		{"a tenth, rounded up", price(), catalog.Usage{}, "tenth", 1},
		{"a tenth, rounded half up", catalog.Price{Input: 5, Tiers: map[string]float64{"tenth": 0.1}}, catalog.Usage{Input: 1}, "tenth", 1},
		{"a tenth, rounded down", catalog.Price{Input: 4, Tiers: map[string]float64{"tenth": 0.1}}, catalog.Usage{Input: 1}, "tenth", 0},
		{"double", price(), catalog.Usage{}, "priority", 14},
		{"free tier", price(), catalog.Usage{Input: 9}, "free", 0},
		{"unknown tier", price(), catalog.Usage{}, "auto", 7},
		{"more cached than input", price(), catalog.Usage{Input: 10, Cached: 50, CacheWrite: 50}, "", 250 + 7},
		{"negative", price(), catalog.Usage{Input: -10, Cached: -5, CacheWrite: -1, Output: -3}, "", 7},
		{"no cached price", catalog.Price{Input: 3}, catalog.Usage{Input: 10, Cached: 5, CacheWrite: 5}, "", 30},
		{"too much", catalog.Price{Input: math.MaxInt64}, catalog.Usage{Input: 10}, "", math.MaxInt64},
	} {
		if got := tc.price.Cost(tc.usage, tc.tier); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

// TestCostGrows: more tokens of any kind never cost less, and nothing is
// negative, for prices that do not fall with the length.
func TestCostGrows(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		cached := r.Int64N(500)
		p := catalog.Price{Input: 500 + r.Int64N(500), Cached: &cached, Output: r.Int64N(1000), Request: r.Int64N(9),
			Tiers: map[string]float64{"t": r.Float64() * 3}}
		p.Above = []catalog.Above{{InputTokens: 1 + r.IntN(2000), Input: p.Input + r.Int64N(500), Cached: &p.Input, Output: p.Output + r.Int64N(500)}}
		u := catalog.Usage{Input: r.IntN(3000), Output: r.IntN(3000)}
		u.Cached = r.IntN(u.Input + 1)
		more, out := u, u
		more.Input += r.IntN(2000)
		out.Output += r.IntN(2000)
		for _, tier := range []string{"", "t"} {
			cost := p.Cost(u, tier)
			if cost < 0 || p.Cost(more, tier) < cost || p.Cost(out, tier) < cost {
				t.Fatalf("%+v %+v %q: %d, more input %d, more output %d", p, u, tier, cost, p.Cost(more, tier), p.Cost(out, tier))
			}
		}
	}
}

func TestTenant(t *testing.T) {
	t.Parallel()
	c := parse(t, good+"default_tenant: {share: 0.5, budget: {usd: 3, period: day, policy: fail, alert_at: 0.5}}\n")
	acme := c.Tenant("acme")
	if acme.ID != "acme" || acme.Share != 2 || acme.Budget.Policy != "wait" || acme.Budget.AlertAt != 0.8 || acme.Budget.NanoUSD() != 12_500_000_000 {
		t.Errorf("acme %+v %+v", acme, acme.Budget)
	}
	other := c.Tenant("other")
	if other.ID != "other" || other.Share != 0.5 || other.Budget.Policy != "fail" || other.Budget.AlertAt != 0.5 || other.Budget.NanoUSD() != 3_000_000_000 {
		t.Errorf("other %+v %+v", other, other.Budget)
	}
	if got := parse(t, good).Tenant("other"); got.Share != 1 || got.Budget != nil {
		t.Errorf("other without a default %+v", got)
	}
	if n := (catalog.Budget{USD: "0.000000001"}).NanoUSD(); n != 1 {
		t.Errorf("a nano-dollar is %d", n)
	}
	if n := (catalog.Budget{USD: "1e3"}).NanoUSD(); n != 0 {
		t.Errorf("a wrong amount is %d", n)
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	date := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	late := time.Date(2026, 12, 31, 23, 30, 0, 0, time.FixedZone("west", -3600)) // 2027 in UTC
	for _, tc := range []struct {
		period          string
		now, start, end time.Time
	}{
		{"day", now(), date(2026, 11, 25), date(2026, 11, 26)},
		{"month", now(), date(2026, 11, 1), date(2026, 12, 1)},
		{"day", late, date(2027, 1, 1), date(2027, 1, 2)},
		{"month", late, date(2027, 1, 1), date(2027, 2, 1)},
		{"month", date(2027, 1, 31), date(2027, 1, 1), date(2027, 2, 1)},
	} {
		if start, end := (catalog.Budget{Period: tc.period}).Window(tc.now); !start.Equal(tc.start) || !end.Equal(tc.end) {
			t.Errorf("%s at %s: %s to %s", tc.period, tc.now, start, end)
		}
	}
}

func TestDeprecatedAt(t *testing.T) {
	t.Parallel()
	m := catalog.Model{Deprecated: "2026-11-26"}
	if m.DeprecatedAt(now()) || !m.DeprecatedAt(now().AddDate(0, 0, 1)) || (catalog.Model{}).DeprecatedAt(now()) {
		t.Error("wrong day")
	}
}

// TestDefaultCatalogs compares the built-in catalogs, as read, with their
// golden files.
func TestDefaultCatalogs(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"openai": "sk-1", "sim": ""} {
		c, err := catalog.Default(func(name string) string { return map[string]string{"OPENAI_API_KEY": key}[name] }, "http://127.0.0.1:8087/v1")
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.MarshalIndent(c, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		file := filepath.Join("testdata", "default_"+name+".json")
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s differs from %s; run the test with -update and look at the change:\n%s", name, file, got)
		}
		for _, id := range []string{"small", "large", "embed"} {
			if _, ok := c.Model(id); !ok {
				t.Errorf("%s has no %s", name, id)
			}
		}
	}
	if _, err := catalog.Default(func(string) string { return "" }, "not a URL"); err == nil {
		t.Error("a wrong simulator URL is taken")
	}
}

// TestDocumentedExample: the file that docs/catalog.md shows is right.
func TestDocumentedExample(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "catalog.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	c := parse(t, text)
	dated, _ := c.Model("small-dated")
	if p, _ := c.Provider("gpu"); dated.Limits.RPM != 500 || !slices.Equal(p.Dialect.RetryHints, []string{"retry-after", "message"}) {
		t.Errorf("small-dated is %+v, gpu %+v", dated, p)
	}
	all, err := catalog.Dialects()
	if err != nil {
		t.Fatal(err)
	}
	for name := range all {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("the page does not name the dialect %s", name)
		}
	}
}
