package catalog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
)

// now is the day of the tests.
func now() time.Time { return time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC) }

// good is a small catalog; tests change one part of it.
const good = `version: 1
revision: r1
providers:
  - id: main
    base_url: https://api.example.com/v1
    api_key_env: EXAMPLE_KEY
    dialect: openai
  - {id: local, base_url: "http://127.0.0.1:8000/v1", dialect: vllm}
models:
  - id: small
    provider: main
    upstream: vendor/small-1
    aliases: [cheap]
    mode: chat
    context: {input: 128000, output: 512}
    price: [{input: 150, output: 600}]
    limits: {group: chat, rpm: 500, tpm: 200000}
    fallback: [large]
  - id: large
    provider: main
    upstream: large-1
    mode: chat
    price:
      - {input: 2500, output: 10000}
    limits: {group: chat}
    timeouts: {total: 10s}
  - id: embed
    provider: local
    upstream: embed-1
    mode: embedding
    dimensions: 384
    price: [{input: 0}]
    limits: {concurrency: 8}
tenants:
  - id: acme
    share: 2
    budget: {usd: "12.50", period: month}
`

// replace changes one part of text.
func replace(t *testing.T, text, old, with string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("%q is not in the file", old)
	}
	return strings.Replace(text, old, with, 1)
}

func parse(t *testing.T, text string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Parse([]byte(text), now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestMistakes: each change of the good file is refused with its line and words
// on what is wrong and how to mend it.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, old, new string
		line           int
		want           string
	}{
		{"version", "version: 1", "version: 2", 1, "version: version is 2, want 1 (write version: 1)"},
		{"no version", "version: 1\n", "", 0, "version is 0"},
		{"revision", "revision: r1", "revision: r 1", 2, "without blanks"},
		{"unknown field", "    dialect: openai", "    dialect: openai\n    timeout: 3s", 8, "providers[0].timeout: unknown field (known here: id, base_url, "},
		{"not YAML", "models:", "models: [", 34, "',' or ']' must be specified"},
		{"a list for a mapping", "limits: {concurrency: 8}", "limits: [8]", 33, "models[2].limits: a list, want a mapping"},
		{"a text for a number", "dimensions: 384", "dimensions: many", 31, `models[2].dimensions: "many", want an integer`},
		{"a fraction for a number", "input: 150,", "input: 0.15,", 16, `models[0].price[0].input: "0.15", want an integer`},
		{"too large a number", "rpm: 500", "rpm: 99999999999999999999", 17, "models[0].limits.rpm"},
		{"no value", "rpm: 500", "rpm: ", 17, "models[0].limits.rpm: no value"},
		{"a value for a list", "fallback: [large]", "fallback: large", 18, `models[0].fallback: "large", want a list`},
		{"duplicate key", "    mode: embedding", "    mode: embedding\n    mode: chat", 31, "already defined"},
		{"anchor", "price: [{input: 0}]", "price: &p [{input: 0}]", 32, "anchors and aliases are not supported"},
		{"two documents", "tenants:", "---\ntenants:", 0, "2 YAML documents, want 1"},
		{"provider id", "  - id: main", "  - id: ma.in", 4, "providers[0].id: character '.'"},
		{"duplicate provider", "{id: local,", "{id: main,", 8, `providers[1].id: "main" is already the name of providers[0].id`},
		{"dialect", "dialect: openai", "dialect: openia", 7, `providers[0].dialect: unknown dialect "openia" (use one of anthropic, azure,`},
		{"no URL", "    base_url: https://api.example.com/v1\n", "", 4, "providers[0].base_url: missing"},
		{"URL scheme", "https://api.example.com/v1", "api.example.com/v1", 5, "is not an http(s) URL (write http(s)://host/path)"},
		{"URL with password", "https://api.", "https://me:hush@api.", 5, "it holds a user or password"},
		{"URL with query", "example.com/v1", "example.com/v1?a=b", 5, "write parameters under query"},
		{"key for its name", "EXAMPLE_KEY", "sk-proj-abc", 6, "never the key"},
		{"override law", "    dialect: openai", "    dialect: openai\n    override:\n      limiter: {law: leaky}", 9, `providers[0].override.limiter.law: unknown value "leaky" (use one of bucket, fixed,`},
		{"override sub", "    dialect: openai", "    dialect: openai\n    override: {limiter: {laws: {rpm: sub}, sub: 5s}}", 8, "write 1s or 10s"},
		{"override dimension", "    dialect: openai", "    dialect: openai\n    override: {limiter: {laws: {rps: sub}, sub: 1s}}", 8, `unknown value "rps"`},
		{"override zone", "    dialect: openai", "    dialect: openai\n    override: {limiter: {reset_zone: Mars/Olympus}}", 8, `unknown time zone "Mars/Olympus"`},
		{"override estimator", "    dialect: openai", "    dialect: openai\n    override: {estimator: guess}", 8, `providers[0].override.estimator: unknown value "guess"`},
		{"override header", "    dialect: openai", "    dialect: openai\n    override: {limit_headers: [{dimension: tpm, reset: x-r, remaining: x, reset_format: ms}]}", 8, `reset_format: unknown value "ms"`},
		{"override class", "    dialect: openai", "    dialect: openai\n    override: {errors: [{status: [418], class: teapot}]}", 8, `providers[0].override.errors[0].class: unknown value "teapot"`},
		{"override rule for all", "    dialect: openai", "    dialect: openai\n    override: {errors: [{class: quota}]}", 8, "would match every failure"},
		{"override hint", "    dialect: openai", "    dialect: openai\n    override: {retry_hints: [later]}", 8, "providers[0].override.retry_hints[0]"},
		{"model id", "  - id: small", "  - id: sm all", 10, "models[0].id: character ' '"},
		{"alias taken", "aliases: [cheap]", "aliases: [large]", 19, `models[1].id: "large" is already the name of models[0].aliases[0]`},
		{"no provider", "provider: local", "provider: locale", 28, `models[2].provider: no provider "locale" (use one of main, local)`},
		{"no upstream", "    upstream: large-1\n", "", 19, "models[1].upstream: missing"},
		{"mode", "    mode: chat\n    context", "    mode: talk\n    context", 14, `models[0].mode: unknown value "talk" (use one of chat, embedding, rerank)`},
		{"no price", "    price: [{input: 150, output: 600}]\n", "", 10, "models[0].price: no price for 2026-11-25"},
		{"price of the future", "{input: 150, output", "{from: 2026-12-01, input: 150, output", 16, "no price for 2026-11-25"},
		{"price day", "{input: 150, output", "{from: 2026-02-30, input: 150, output", 16, `"2026-02-30" is not a day`},
		{"price without input", "price: [{input: 0}]", "price: [{from: 2026-01-01}]", 32, "models[2].price[0].input: missing"},
		{"price without output", "input: 150, output: 600", "input: 150", 16, "models[0].price[0].output: missing, though input has a price"},
		{"negative price", "input: 150", "input: -1", 16, "models[0].price[0].input: price -1 is out of range"},
		{"same day twice", "      - {input: 2500, output: 10000}", "      - {input: 2500, output: 10000}\n      - {input: 1, output: 1}", 25, "two prices from the same day"},
		{"thresholds", "output: 600}", "output: 600, above: [{input_tokens: 9, input: 1, output: 1}, {input_tokens: 9, input: 1, output: 1}]}", 16, "above[1].input_tokens"},
		{"tier", "output: 600}", "output: 600, tiers: {batch: -0.5}}", 16, "tiers.batch: factor -0.5"},
		{"negative limit", "rpm: 500", "rpm: -500", 17, "models[0].limits.rpm: -500 is negative"},
		{"limits of a group", "limits: {group: chat}", "limits: {group: chat, rpm: 400, tpm: 200000}", 25, `large has rpm 400, but small of the same limit group "chat" has 500`},
		{"encoding", "    aliases: [cheap]", "    tokens: {encoding: p50k_base}", 13, "models[0].tokens.encoding: unknown value"},
		{"ratio", "    aliases: [cheap]", "    tokens: {ratio: 0}", 13, "ratio is 0"},
		{"timeout", "total: 10s", "total: 10", 26, `models[1].timeouts.total: "10" is not a duration`},
		{"ttft over total", "{total: 10s}", "{total: 10s, ttft: 1m}", 26, "1m0s is more than total, 10s"},
		{"max_tokens", "    aliases: [cheap]", "    max_tokens: 4096", 13, "more than the model's output limit 512"},
		{"no dimensions", "    dimensions: 384\n", "", 27, "models[2].dimensions: 0, want 1 to"},
		{"dimensions of a chat model", "    aliases: [cheap]", "    dimensions: 4", 13, "a chat model has no vectors"},
		{"deprecated", "    aliases: [cheap]", "    deprecated: soon", 13, `models[0].deprecated: "soon" is not a day`},
		{"fallback to nothing", "fallback: [large]", "fallback: [cheap, huge]", 18, `models[0].fallback[1]: no model "huge"`},
		{"fallback of another mode", "fallback: [large]", "fallback: [embed]", 18, "the mode of embed is embedding, of small chat"},
		{"circle", "    timeouts: {total: 10s}", "    fallback: [cheap]", 18, "fallbacks go in a circle: small -> large -> small"},
		{"circle of one", "fallback: [large]", "fallback: [cheap]", 18, "small -> small"},
		{"stand-in for chat", "    aliases: [cheap]", "    stand_in: true", 13, "models[0].stand_in: a chat model has no vectors"},
		{"prefix for chat", "    aliases: [cheap]", "    query_prefix: q", 13, "models[0].query_prefix: a chat model has no vectors"},
		{"long prefix", "    dimensions: 384", "    dimensions: 384\n    passage_prefix: " + strings.Repeat("x", 2001), 32, "models[2].passage_prefix: 2001 bytes"},
		{"batch for chat", "    aliases: [cheap]", "    batch: {items: 2}", 13, "models[0].batch: a chat model takes one prompt a request"},
		{"negative batch", "    dimensions: 384", "    dimensions: 384\n    batch: {tokens: -1}", 32, "models[2].batch.tokens: -1 is out of range"},
		{"override batch", "    dialect: openai", "    dialect: openai\n    override: {batch: {items: -2}}", 8, "providers[0].override.batch.items: -2 is out of range"},
		{"fallback with another prefix", "    dimensions: 384", "    dimensions: 384\n    fallback: [e2]\n  - {id: e2, provider: local, upstream: u, mode: embedding, dimensions: 384, query_prefix: q, price: [{input: 0}]}\n  - id: e3\n    provider: local\n    upstream: u\n    mode: embedding\n    dimensions: 3", 32, "e2 and embed differ in their prefixes"},
		{"collection without id", "tenants:", "collections: [{top_k: 3}]\ntenants:", 34, "collections[0].id: missing"},
		{"collection id", "tenants:", "collections: [{id: a.b}]\ntenants:", 34, "collections[0].id: character '.'"},
		{"collection tenant", "tenants:", "collections: [{id: a, tenant: '*'}]\ntenants:", 34, "collections[0].tenant: character '*'"},
		{"collection twice", "tenants:", "collections: [{id: a, tenant: t}, {id: a}, {id: a, tenant: t}]\ntenants:", 34, "collections[2]: the same collection as collections[0]"},
		{"collection field", "tenants:", "collections: [{id: a, topk: 3}]\ntenants:", 34, "collections[0].topk: unknown field (known here: id, tenant, chunk_tokens,"},
		{"small chunks", "tenants:", "collections: [{id: a, chunk_tokens: 15}]\ntenants:", 34, "collections[0].chunk_tokens: 15 is out of range (write 16 to 8191"},
		{"no chunks", "tenants:", "collections: [{id: a, chunk_tokens: 0}]\ntenants:", 34, "collections[0].chunk_tokens: 0 is out of range"},
		{"overlap", "tenants:", "collections: [{id: a, chunk_tokens: 100, chunk_overlap: 51}]\ntenants:", 34, "collections[0].chunk_overlap: 51 is out of range, 0 to 50"},
		{"fusion", "tenants:", "collections: [{id: a, fusion: sum}]\ntenants:", 34, `collections[0].fusion: unknown value "sum" (use one of dbsf, rrf)`},
		{"half a weight", "tenants:", "collections: [{id: a, weights: {bm25: 1.5}}]\ntenants:", 34, "collections[0].weights.bm25: weight 1.5 (write a whole number from 1 to 4, or fusion: rrf"},
		{"no weight", "tenants:", "collections: [{id: a, fusion: rrf, weights: {dense: 0}}]\ntenants:", 34, "collections[0].weights.dense: weight 0"},
		{"negative weight", "tenants:", "collections: [{id: a, fusion: rrf, weights: {grams: -0.5}}]\ntenants:", 34, "collections[0].weights.grams: weight -0.5"},
		{"rerank by nothing", "tenants:", "collections: [{id: a, rerank: judge}]\ntenants:", 34, `collections[0].rerank: no rerank model "judge" (write linear, none, or the id`},
		{"rerank by chat", "tenants:", "collections: [{id: a, rerank: small}]\ntenants:", 34, `collections[0].rerank: no rerank model "small"`},
		{"rerank without endpoint", "tenants:", "  - {id: judge, provider: main, upstream: u, mode: rerank}\ncollections: [{id: a, rerank: judge}]\ntenants:", 35, "the dialect of main, which has model judge, names no rerank endpoint (write override: {rerank: jina}"},
		{"top_k", "tenants:", "collections: [{id: a, top_k: 101}]\ntenants:", 34, "collections[0].top_k: 101 is out of range"},
		{"abstain", "tenants:", "collections: [{id: a, abstain: 40}]\ntenants:", 34, "collections[0].abstain: abstain is 40, want 0 to 1"},
		{"duplicate tenant", "tenants:", "tenants:\n  - id: acme", 36, `tenants[1].id: "acme" is already the name of tenants[0].id`},
		{"share", "share: 2", "share: -2", 36, "tenants[0].share: share is -2"},
		{"zero share", "share: 2", "share: 0", 36, "tenants[0].share: share is 0"},
		{"budget", `"12.50"`, `"$12"`, 37, `tenants[0].budget.usd: "$12" is not an amount above 0`},
		{"zero budget", `"12.50"`, `"0.00"`, 37, "is not an amount above 0"},
		{"period", "period: month", "period: week", 37, `tenants[0].budget.period: unknown value "week" (use one of day, month)`},
		{"policy", "period: month", "period: month, policy: panic", 37, "use one of wait, fail"},
		{"alert", "period: month", "period: month, alert_at: 80", 37, "alert_at is 80, want 0 to 1"},
		{"default with id", "tenants:", "default_tenant: {id: all}\ntenants:", 34, "default_tenant.id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := catalog.Parse([]byte(replace(t, good, tc.old, tc.new)), now())
			if err == nil {
				t.Fatal("taken")
			}
			var at *catalog.FieldError
			if !errors.As(err, &at) || event.AsError(err).Class != event.ClassInvalid {
				t.Fatalf("%v has no place or class", err)
			}
			want := fmt.Sprintf("line %d, column ", tc.line)
			if tc.line == 0 {
				want = ""
			}
			for line := range strings.Lines(err.Error()) {
				if strings.HasPrefix(line, want) && strings.Contains(line, tc.want) {
					return
				}
			}
			t.Errorf("got\n%v\nwant line %d and %q", err, tc.line, tc.want)
		})
	}
}

// TestAllMistakes are reported at once, in the order of the file.
func TestAllMistakes(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("version: 1", "version: one", "dialect: vllm", "dialekt: vllm", "fallback: [large]", "fallback: [huge]", "period: month", "period: week").Replace(good)
	_, err := catalog.Parse([]byte(text), now())
	if err == nil {
		t.Fatal("taken")
	}
	lines := strings.Split(err.Error(), "\n")
	wants := []string{"line 1, column 10: version", "line 8, column 55: providers[1].dialekt", "line 8, column 5: providers[1].dialect", "line 18, column 16: models[0].fallback[0]", "line 37"}
	if len(lines) != len(wants) {
		t.Fatalf("%d mistakes, want %d:\n%v", len(lines), len(wants), err)
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

func TestSecretIsNotShown(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("EXAMPLE_KEY", "sk-hush", "https://api", "https://me:hush@api").Replace(good)
	if _, err := catalog.Parse([]byte(text), now()); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v", err)
	}
}

// TestHostile: nesting that the YAML parser takes minutes over is refused first.
func TestHostile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		strings.Repeat("[", 1<<17), strings.Repeat("{a: ", 1<<16), strings.Repeat("- ", 1<<17), strings.Repeat("&a ", 1<<17), strings.Repeat(" ", 9<<20), "",
		"\"\": x", "<<: {version: 1}", "- version: 1", "version", "? {a: b}\n: c", "version: !!int 1",
	} {
		start := time.Now()
		if _, err := catalog.Parse([]byte(text), now()); err == nil {
			t.Errorf("%.20q taken", text)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%.20q took %s", text, took)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add(collections)
	f.Add(string(catalog.DefaultText(func(string) string { return "x" }, "")))
	f.Add("version: 1\nmodels: [{price: [{tiers: {a: .nan}}]}]")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := catalog.Parse([]byte(text), now())
		if err != nil {
			return
		}
		for _, m := range c.Models {
			if chain := c.Chain(m.ID); chain[0] != m.ID {
				t.Errorf("chain of %s is %v", m.ID, chain)
			}
			if p, ok := m.PriceAt(now()); ok && p.Cost(catalog.Usage{Input: 1000, Cached: 10, Output: 1000}, "batch") < 0 {
				t.Errorf("negative cost of %s", m.ID)
			}
		}
	})
}
