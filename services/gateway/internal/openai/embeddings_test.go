package openai_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/openai"
)

// TestParseEmbeddings: each form of input becomes texts.
func TestParseEmbeddings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"text":   {`{"model":"v","input":"hello"}`, []string{"hello"}},
		"texts":  {`{"model":"v","input":["a","b"],"encoding_format":"base64","dimensions":2,"user":"u"}`, []string{"a", "b"}},
		"tokens": {`{"model":"v","input":[15339,1917]}`, []string{"hello world"}},
		"lists of tokens": {`{"model":"v","input":[[15339],[1917]],"encoding_format":"float",
			"weir":{"timeout_ms":5,"lane":"batch","metadata":{"a":"b"}}}`, []string{"hello", " world"}},
	} {
		e, err := openai.ParseEmbeddings([]byte(c.body))
		if err != nil || !reflect.DeepEqual(e.Job.Inputs, c.want) {
			t.Errorf("%s: got %+v, %v", name, e, err)
		}
		if name == "lists of tokens" && (e.Timeout != 5*time.Millisecond || e.Job.Lane != event.LaneBatch || e.Job.Metadata["a"] != "b") {
			t.Errorf("%s: got %+v", name, e)
		}
	}
}

// TestParseEmbeddingsRefused: what can't be embedded is refused with its field.
func TestParseEmbeddingsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, field string }{
		"no model":         {`{"input":"a"}`, "model"},
		"no input":         {`{"model":"v"}`, "input"},
		"empty list":       {`{"model":"v","input":[]}`, "input"},
		"object":           {`{"model":"v","input":{}}`, "input"},
		"empty text":       {`{"model":"v","input":["a",""]}`, "input[1]"},
		"mixed":            {`{"model":"v","input":["a",{}]}`, "input[1]"},
		"null":             {`{"model":"v","input":["a",null]}`, "input[1]"},
		"no token":         {`{"model":"v","input":[[999999999]]}`, "input[0]"},
		"half a character": {`{"model":"v","input":[[15339,255]]}`, "input[0]"},
		"format":           {`{"model":"v","input":"a","encoding_format":"hex"}`, "encoding_format"},
		"dimensions":       {`{"model":"v","input":"a","dimensions":0}`, "dimensions"},
		"unknown option":   {`{"model":"v","input":"a","weir":{"rag":{}}}`, "weir"},
		"two deadlines":    {`{"model":"v","input":"a","weir":{"timeout_ms":1,"deadline":"2030-01-02T15:04:05Z"}}`, "weir.timeout_ms"},
		"no JSON":          {`{`, "body"},
	} {
		_, err := openai.ParseEmbeddings([]byte(c.body))
		if e := event.AsError(err); e == nil || e.Class != event.ClassInvalid || e.Field != c.field {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestEmbeddings: a request is for a model of vectors, and gets them as it asked.
func TestEmbeddings(t *testing.T) {
	t.Parallel()
	cat, err := catalog.Parse([]byte(`
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models:
  - {id: small, provider: sim, upstream: s, mode: chat, price: [{input: 1, output: 1}]}
  - {id: vec, aliases: [text-embedding-x], provider: sim, upstream: v, mode: embedding, dimensions: 2, price: [{input: 1}]}
tenants: [{id: narrow, models: [small]}]
`), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		tenant, model string
		dimensions    int
		status        int
	}{
		"alias": {"acme", "text-embedding-x", 0, 0}, "dimensions": {"acme", "vec", 2, 0}, "other dimensions": {"acme", "vec", 3, 400},
		"chat model": {"acme", "small", 0, 404}, "policy": {"acme", "weir/auto", 0, 404}, "not allowed": {"narrow", "vec", 0, 404}, "unknown": {"acme", "x", 0, 404},
	} {
		e := openai.Embeddings{Model: c.model, Dimensions: c.dimensions}
		err := e.Resolve(cat, c.tenant)
		status := 0
		if err != nil {
			status, _ = openai.ErrorOf(err)
		}
		if status != c.status || err == nil && e.Job.Model != "vec" {
			t.Errorf("%s: got %q, %d %v", name, e.Job.Model, status, err)
		}
	}
	result := event.Result{ID: "j1", Embedded: &event.Embedded{Model: "vec", Tokens: 4, Dimensions: 2, Vectors: [][]byte{{0, 0, 128, 63, 0, 0, 0, 64}, {205, 204, 204, 61, 0, 0, 0, 0}}}}
	for format, want := range map[string]string{
		"":       `[{"object":"embedding","index":0,"embedding":[1,2]},{"object":"embedding","index":1,"embedding":[0.1,0]}]`,
		"base64": `[{"object":"embedding","index":0,"embedding":"AACAPwAAAEA="},{"object":"embedding","index":1,"embedding":"zczMPQAAAAA="}]`,
	} {
		list := openai.Embeddings{Model: "x", Format: format}.Response(result)
		data, err := json.Marshal(list.Data)
		if err != nil || string(data) != want || list.Model != "vec" || list.Usage.TotalTokens != 4 || list.Object != "list" || list.Weir.Job != "j1" {
			t.Errorf("got %s, %+v, %v", data, list, err)
		}
	}
}
