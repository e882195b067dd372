package catalog_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weir-dev/weir/pkg/catalog"
)

// policies is a small policies file of the catalog good; tests change one part.
const policies = `version: 1
reference: large
audit: {rate: 0.1}
tasks:
  - task: default
    chain: [cheap, large]
  - task: extract
    chain: [small]
    fallback: [large]
    exhausted: fail
    accept:
      schema: {type: object, required: [total]}
      verify: [arithmetic]
      tau: 0.8
    cache: {exact: 1h, semantic: true}
    stream: eager
`

// load reads a catalog with policies.
func load(t *testing.T, text string) (*catalog.Catalog, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policies.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return catalog.Files{Policies: file}.Load(parse(t, good), now())
}

// TestPolicy: each task has its own policy, with defaults; an alias is its model.
func TestPolicy(t *testing.T) {
	t.Parallel()
	c, err := load(t, policies)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := c.Policy("")
	if !ok || p.Task != "default" || !reflect.DeepEqual(p.Chain, []string{"small", "large"}) || !p.Accept.Tau.Auto || p.Exhausted != catalog.ExhaustedBestEffort ||
		p.Stream != catalog.StreamFinal || *p.Audit.Rate != 0.1 || p.Audit.NanoUSDPerDay() != 20e9 {
		t.Errorf("default: %+v", p)
	}
	p, ok = c.Policy("extract")
	schema, err := p.Accept.SchemaJSON()
	if !ok || err != nil || p.Accept.Tau.Auto || p.Accept.Tau.Value != 0.8 || p.Stream != catalog.StreamEager || string(schema) != `{"required":["total"],"type":"object"}` {
		t.Errorf("extract: %+v, schema %s (%v)", p, schema, err)
	}
	if p, ok := c.Policy("other"); ok {
		t.Errorf("an unknown task has the policy %+v", p)
	}
	if _, ok := parse(t, good).Policy(""); ok || len(c.Tasks()) != 2 {
		t.Errorf("a policy without policies; tasks %v", c.Tasks())
	}
}

// TestWrongPolicies: each mistake is told with its line, the field, and what to do.
func TestWrongPolicies(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ old, with, want string }{
		"model":         {"[cheap, large]", "[cheap, huge]", `line 6, column 20: tasks[0].chain[1]: no chat model "huge" (use one of small, large)`},
		"embedding":     {"[cheap, large]", "[embed]", `no chat model "embed"`},
		"twice":         {"[cheap, large]", "[cheap, small]", `"small" is there twice`},
		"no chain":      {"    chain: [cheap, large]\n", "", "tasks[0].chain: no model"},
		"no reference":  {"reference: large", "reference: embed", `reference: no chat model "embed"`},
		"tau":           {"tau: 0.8", "tau: 1.5", "tau is 1.5 (write auto, or a number from 0 to 1)"},
		"tau word":      {"tau: 0.8", "tau: high", `"high" is not a threshold`},
		"contradiction": {"exhausted: fail", "exhausted: best_effort", "the only model's answer is given in any case"},
		"template":      {"exhausted: fail", "exhausted: template", "template is"},
		"capability":    {"fallback: [large]", "requires: [tools]", "no model can do it: small lacks tools"},
		"schema":        {"type: object,", "type: nonsense,", "accept.schema"},
		"verify":        {"[arithmetic]", "[luck]", "verify[0]: unknown value"},
		"semantic":      {"exact: 1h, semantic", "semantic", "semantic without exact"},
		"unknown field": {"stream: eager", "streams: eager", "unknown field"},
		"same task":     {"task: extract", "task: default", `"default" is already the name of tasks[0].task`},
		"audit":         {"rate: 0.1", "rate: 2", "audit.rate: rate is 2"},
		"table":         {"reference: large", "reference: large\ntable: none.json", "none.json"},
		"learn one":     {"tau: 0.8", "tau: auto", "nothing to learn of one model"},
		"bought twice":  {"tau: 0.8", "tau: 0.8\n      paid: [{signal: agree, model: large}, {signal: agree, model: small}]", "buy each signal once"},
		"reference":     {"chain: [cheap, large]", "chain: [cheap, large]\n    requires: [logprobs]", "the reference large lacks logprobs"},
		"parallel":      {"stream: eager", "latency: {start: parallel}", "parallel with one model"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, replace(t, policies, tc.old, tc.with))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestWatchedPolicies: an edit of the policies takes effect, a wrong one does not,
// and the catalog's revision is not the policies'.
func TestWatchedPolicies(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "policies.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(policies)
	files := catalog.Files{Policies: file}
	synctest.Test(t, func(t *testing.T) {
		c, err := files.Load(parse(t, good), now())
		if err != nil {
			t.Fatal(err)
		}
		w := &watched{t: t, Watcher: catalog.NewWatcher(catalog.WatcherConfig{Files: files, Now: now}, c)}
		go w.Run(t.Context()) //nolint:errcheck // ends with the test
		w.looks(2)
		before := w.Current()
		write(replace(t, policies, "tau: 0.8", "tau: 0.7"))
		w.looks(2)
		after := w.Current()
		if p, _ := after.Policy("extract"); p.Accept.Tau.Value != 0.7 || after.Routing.Revision == before.Routing.Revision || after.Revision != before.Revision {
			t.Errorf("after an edit: %+v", p)
		}
		write(replace(t, policies, "tau: 0.8", "tau: 7"))
		w.looks(2)
		if w.Current() != after || w.Err() == nil || !strings.Contains(w.Err().Error(), "policies.yaml: line") {
			t.Errorf("a wrong edit is taken, or not told: %v", w.Err())
		}
	})
}

// TestRenamedTable: the policies may name another table, and the old one be removed,
// at the same time.
func TestRenamedTable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	table := func(version string) string {
		return `{"v":1,"version":"` + version + `","reference":"large","objective":{"max_quality_loss":0.01,"margin_se":1,"labels":"gold"},"tasks":{"default":{"chain":[{"model":"large","tau":0}],"labels":0,` +
			`"quality_change":{"mean":0,"low":0,"high":0},"saving":{"mean":0,"low":0,"high":0},"escalated":0,"cost_per_1k_nano_usd":0,"reference_per_1k_nano_usd":0}}}`
	}
	write("one.json", table("one"))
	write("policies.yaml", replace(t, policies, "reference: large", "reference: large\ntable: one.json"))
	files := catalog.Files{Policies: filepath.Join(dir, "policies.yaml")}
	synctest.Test(t, func(t *testing.T) {
		c, err := files.Load(parse(t, good), now())
		if err != nil {
			t.Fatal(err)
		}
		w := &watched{t: t, Watcher: catalog.NewWatcher(catalog.WatcherConfig{Files: files, Now: now}, c)}
		go w.Run(t.Context()) //nolint:errcheck // ends with the test
		w.looks(2)
		write("two.json", table("two"))
		write("policies.yaml", replace(t, policies, "reference: large", "reference: large\ntable: two.json"))
		if err := os.Remove(filepath.Join(dir, "one.json")); err != nil {
			t.Fatal(err)
		}
		w.looks(3)
		if got := w.Current().Routing.Learned.Version; got != "two" || w.Err() != nil {
			t.Errorf("table %s (%v), want two", got, w.Err())
		}
		if err := os.Remove(filepath.Join(dir, "two.json")); err != nil {
			t.Fatal(err)
		}
		w.looks(3)
		if got := w.Current().Routing.Learned.Version; got != "two" || w.Err() == nil {
			t.Errorf("table %s (%v), want the old one and why", got, w.Err())
		}
	})
}
