package main

import (
	"path/filepath"
	"strings"
	"testing"
)

const catalogFile = `version: 1
revision: r7
providers: [{id: local, base_url: "http://127.0.0.1:8000/v1", dialect: vllm}]
models:
  - {id: tiny, aliases: [t], provider: local, upstream: org/tiny, mode: chat, price: [{input: 150, output: 1600}], limits: {concurrency: 8}, fallback: [big]}
  - {id: big, provider: local, upstream: org/big, mode: chat, price: [{input: 0}], deprecated: 2020-01-01}
`

func TestCatalogCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "catalog.yaml", catalogFile)
	checked := weir(t, "catalog", "check", file)
	checked.wants(t, exitOK, "is valid: revision r7, 1 provider, 2 models, 0 tenants")
	if !strings.Contains(checked.err, "warning: model big is deprecated since 2020-01-01") {
		t.Errorf("stderr %q", checked.err)
	}
	if got := lines[map[string]any](t, weir(t, "catalog", "check", file, "--json"))[0]; got["revision"] != "r7" || got["models"] != 2.0 {
		t.Errorf("got %v", got)
	}
	weir(t, "catalog", "check").wants(t, exitOK, "the default catalog is valid", "3 models")

	wrong := write(t, dir, "wrong.yaml", strings.NewReplacer("vllm", "vlm", "[big]", "[huge]").Replace(catalogFile))
	weir(t, "catalog", "check", wrong).wants(t, exitUsage, "wrong.yaml is not valid:",
		`line 3, column 72: providers[0].dialect: unknown dialect "vlm"`, `models[0].fallback[0]: no model "huge"`)
	weir(t, "catalog", "check", filepath.Join(dir, "none.yaml")).wants(t, exitUsage, "no file")
}

func TestCatalogShow(t *testing.T) {
	t.Parallel()
	file := write(t, t.TempDir(), "catalog.yaml", catalogFile)
	weir(t, "catalog", "show", "--file", file).wants(t, exitOK, "MODEL", "tiny   local     org/tiny  chat  0.150     1.600      concurrency 8  big", "big    local")
	got := lines[catalogLine](t, weir(t, "catalog", "show", "t", "--file", file, "--json"))
	if len(got) != 1 || got[0].ID != "tiny" || got[0].Output != "1.600" || len(got[0].Limits) != 1 || len(got[0].Chain) != 2 {
		t.Errorf("got %+v", got)
	}
	weir(t, "catalog", "show", "none", "--file", file).wants(t, exitUsage, `no model "none"`)
	weir(t, "catalog", "show", "--text", "--file", file).wants(t, exitOK, catalogFile)
}

func TestCatalogImport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := write(t, dir, "list.json", `{"gpt-x": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07}}`)
	got := weir(t, "catalog", "import", "litellm", list, "--provider", "openai", "--match", "^gpt")
	got.wants(t, exitOK, "id: gpt-x", "price: [{input: 150, output: 600}]")
	weir(t, "catalog", "check", write(t, dir, "catalog.yaml", got.out)).wants(t, exitOK, "1 model")
	weir(t, "catalog", "import", "litellm", list, "--match", "^claude").wants(t, exitUsage, "no model of the list fits")
	weir(t, "catalog", "import", "litellm", list, "--match", "(").wants(t, exitUsage, "--match")
	weir(t, "catalog", "import", "litellm", filepath.Join(dir, "none.json")).wants(t, exitUsage, "no file")
	weir(t, "catalog", "import", "litellm", write(t, dir, "bad.json", "no")).wants(t, exitUsage, "reading LiteLLM's list")
}
