package catalog_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/catalog"
)

func importList(t *testing.T, f catalog.Filter) *catalog.Catalog {
	t.Helper()
	list, err := os.ReadFile(filepath.Join("testdata", "litellm.json"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := catalog.ImportLiteLLM(bytes.NewReader(list), f)
	if err != nil {
		t.Fatal(err)
	}
	again, err := catalog.ImportLiteLLM(bytes.NewReader(list), f)
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("two imports differ (%v):\n%s\n%s", err, text, again)
	}
	return parse(t, string(text))
}

func TestImportLiteLLM(t *testing.T) {
	t.Parallel()
	c := importList(t, catalog.Filter{})
	var ids []string
	for _, m := range c.Models {
		ids = append(ids, m.ID+" "+m.Provider+" "+m.Upstream)
	}
	want := []string{"embed-1 openai embed-1", "fast-1 openai fast-1", "fast-1-2 openai fast.1", "long-2 gemini long-2", "rerank-1 jina rerank-1", `vendor-deep-x-1 openrouter vendor/deep "x": [1]`}
	if !reflect.DeepEqual(ids, want) {
		t.Errorf("models\n%q, want\n%q", ids, want)
	}
	if p, _ := c.Provider("gemini"); p.KeyEnv != "GEMINI_API_KEY" || p.Use != "gemini" || !strings.HasPrefix(p.BaseURL, "https://") {
		t.Errorf("gemini is %+v", p)
	}

	fast, _ := c.Model("fast-1")
	cached, write, long := int64(25), int64(313), int64(50)
	wantPrice := catalog.Price{Input: 250, Cached: &cached, CacheWrite: &write, Output: 2000,
		Above: []catalog.Above{{InputTokens: 272000, Input: 500, Cached: &long, Output: 3000}},
		Tiers: map[string]float64{"flex": 0.5, "batch": 0.5, "priority": 1.8}}
	if got := fast.Prices[0]; !reflect.DeepEqual(got, wantPrice) {
		t.Errorf("got  %+v\nwant %+v", got, wantPrice)
	}
	if !fast.Supports.Tools || fast.Supports.JSONSchema != "strict" || fast.Deprecated != "2027-06-30" || fast.Context != (catalog.Context{Input: 272000, Output: 128000}) {
		t.Errorf("fast-1 is %+v", fast)
	}
	second, _ := c.Model("fast-1-2")
	if second.Prices[0].Input != 100 || second.Prices[0].Output != 400 || second.Deprecated != "" || second.Supports.Tools {
		t.Errorf("fast-1-2 is %+v", second)
	}
	gemini, _ := c.Model("long-2")
	wantAbove := []catalog.Above{{InputTokens: 128000, Input: 2000, Output: 10000}, {InputTokens: 200000, Input: 2500, Output: 15000}}
	if got := gemini.Prices[0].Above; !reflect.DeepEqual(got, wantAbove) || gemini.Context.Input != 1048576 {
		t.Errorf("long-2 is %+v", gemini)
	}
	embed, _ := c.Model("embed-1")
	if embed.Dimensions != 1536 || embed.Prices[0].Input != 20 || embed.Prices[0].Tiers["batch"] != 0.5 {
		t.Errorf("embed-1 is %+v", embed)
	}
	rerank, _ := c.Model("rerank-1")
	if rerank.Mode != catalog.ModeRerank || rerank.Prices[0].Input != 18 {
		t.Errorf("rerank-1 is %+v", rerank)
	}
}

func TestImportFilter(t *testing.T) {
	t.Parallel()
	c := importList(t, catalog.Filter{Provider: "openai", Match: regexp.MustCompile(`^fast`)})
	if len(c.Models) != 2 || len(c.Providers) != 1 {
		t.Errorf("%d models, %d providers", len(c.Models), len(c.Providers))
	}
}

func TestImportWrongInput(t *testing.T) {
	t.Parallel()
	one := `{"m": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-6}}`
	for _, tc := range []struct {
		list   string
		filter catalog.Filter
		want   string
		none   bool
	}{
		{"not JSON", catalog.Filter{}, "reading LiteLLM's list", false},
		{`[]`, catalog.Filter{}, "reading LiteLLM's list", false},
		{`{"m": 3}`, catalog.Filter{}, `model "m"`, false},
		{one, catalog.Filter{Provider: "nobody"}, `provider "nobody"`, true},
		{one, catalog.Filter{Provider: "groq"}, "no model of the list fits", true},
		{one, catalog.Filter{Match: regexp.MustCompile("x")}, "no model of the list fits", true},
	} {
		_, err := catalog.ImportLiteLLM(strings.NewReader(tc.list), tc.filter)
		if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, catalog.ErrNothingToImport) != tc.none {
			t.Errorf("%s: got %v, want %q", tc.list, err, tc.want)
		}
	}
}

// FuzzImport: what is imported is a valid catalog.
func FuzzImport(f *testing.F) {
	list, err := os.ReadFile(filepath.Join("testdata", "litellm.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(list))
	f.Add(`{"--":{"litellm_provider":"openai","mode":"embedding","input_cost_per_token":0.0000000149,"output_vector_size":3}}`)
	f.Fuzz(func(t *testing.T, list string) {
		text, err := catalog.ImportLiteLLM(strings.NewReader(list), catalog.Filter{})
		if err != nil {
			return
		}
		if _, err := catalog.Parse(text, now()); err != nil {
			t.Errorf("%v of\n%s", err, text)
		}
	})
}
