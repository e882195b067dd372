package cache_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/event"
)

func request() cache.Request {
	cold := 0.0
	return cache.Request{
		Tenant: "acme", Task: "faq", Policy: "p1", Catalog: "c1",
		Messages: []event.Message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: "What is it?"}}, MaxTokens: 100, Temperature: &cold,
		Schema: json.RawMessage(`{"type":"object","required":["a","b"]}`), Checks: json.RawMessage(`["size(a) > 1"]`),
		RAG:     &event.RAG{Collection: "docs", TopK: 5, Readers: []string{"ann", "staff"}, Filter: map[string]string{"lang": "en", "year": "2025"}},
		Sources: []event.SourceVersion{{Document: "d1", Version: 3, Chunks: []string{"x", "y"}}},
	}
}

// TestRequestKeyDiffers: whatever decides the answer changes the key.
func TestRequestKeyDiffers(t *testing.T) {
	t.Parallel()
	warm, half := 1.0, 0.5
	seen := map[string]string{cache.RequestKey(request()): "the request"}
	for name, change := range map[string]func(*cache.Request){
		"tenant":       func(r *cache.Request) { r.Tenant = "other" },
		"task":         func(r *cache.Request) { r.Task = "" },
		"policy":       func(r *cache.Request) { r.Policy = "p2" },
		"model":        func(r *cache.Request) { r.Policy, r.Model = "", "p1" },
		"catalog":      func(r *cache.Request) { r.Catalog = "c2" },
		"message":      func(r *cache.Request) { r.Messages[1].Content += " " },
		"role":         func(r *cache.Request) { r.Messages[1].Role = "assistant" },
		"cut":          func(r *cache.Request) { r.Messages[0].Content, r.Messages[1].Content = "Be brief.W", "hat is it?" },
		"one less":     func(r *cache.Request) { r.Messages = r.Messages[1:] },
		"order":        func(r *cache.Request) { slices.Reverse(r.Messages) },
		"max tokens":   func(r *cache.Request) { r.MaxTokens = 101 },
		"temperature":  func(r *cache.Request) { r.Temperature = &warm },
		"no temp":      func(r *cache.Request) { r.Temperature = nil },
		"no schema":    func(r *cache.Request) { r.Schema = nil },
		"schema":       func(r *cache.Request) { r.Schema = json.RawMessage(`{"type":"object","required":["b","a"]}`) },
		"schema, case": func(r *cache.Request) { r.Schema = json.RawMessage(`{"Type":"object","required":["a","b"]}`) },
		"checks":       func(r *cache.Request) { r.Checks = json.RawMessage(`["size(a) > 2"]`) },
		"moved":        func(r *cache.Request) { r.Schema, r.Checks = r.Checks, r.Schema },
		"no rag":       func(r *cache.Request) { r.RAG = nil },
		"empty rag":    func(r *cache.Request) { r.RAG = &event.RAG{} },
		"collection":   func(r *cache.Request) { r.RAG.Collection = "doc" },
		"top k":        func(r *cache.Request) { r.RAG.TopK = 6 },
		"readers":      func(r *cache.Request) { r.RAG.Readers = []string{"ann"} },
		"joined":       func(r *cache.Request) { r.RAG.Readers = []string{"annstaff"} },
		"filter":       func(r *cache.Request) { r.RAG.Filter["year"] = "2024" },
		"filter key":   func(r *cache.Request) { r.RAG.Filter = map[string]string{"lang": "en", "yea": "r2025"} },
		"abstain":      func(r *cache.Request) { r.RAG.Abstain = &half },
		"document":     func(r *cache.Request) { r.Sources[0].Document = "d2" },
		"version":      func(r *cache.Request) { r.Sources[0].Version = 4 },
		"chunk":        func(r *cache.Request) { r.Sources[0].Chunks = []string{"x"} },
		"chunks":       func(r *cache.Request) { r.Sources[0].Chunks = []string{"y", "x"} },
		"name":         func(r *cache.Request) { r.Messages[1].Name = "ann" },
		"call":         func(r *cache.Request) { r.Messages[1].ToolCalls = []event.ToolCall{{ID: "a"}} },
		"arguments": func(r *cache.Request) {
			r.Messages[1].ToolCalls = []event.ToolCall{{ID: "a", Function: event.FunctionCall{Arguments: "{}"}}}
		},
		"call id":     func(r *cache.Request) { r.Messages[1].ToolCallID = "a" },
		"tools":       func(r *cache.Request) { r.Tools = json.RawMessage(`[{"a":1}]`) },
		"other tools": func(r *cache.Request) { r.Tools = json.RawMessage(`[{"a":2}]`) },
		"tool choice": func(r *cache.Request) { r.ToolChoice = json.RawMessage(`[{"a":1}]`) },
		"param":       func(r *cache.Request) { r.Params = map[string]json.RawMessage{"seed": json.RawMessage("1")} },
		"other param": func(r *cache.Request) { r.Params = map[string]json.RawMessage{"top_p": json.RawMessage("1")} },
		"no sources":  func(r *cache.Request) { r.Sources = nil },
	} {
		r := request()
		change(&r)
		k := cache.RequestKey(r)
		if other, ok := seen[k]; ok {
			t.Errorf("%s: the key of %s", name, other)
		}
		seen[k] = name
	}
}

// TestRequestKeyIsCanonical: what says the same has the same key.
func TestRequestKeyIsCanonical(t *testing.T) {
	t.Parallel()
	want := cache.RequestKey(request())
	negative := 0.0
	negative = -negative
	for name, change := range map[string]func(*cache.Request){
		"json blanks": func(r *cache.Request) {
			r.Schema = json.RawMessage(" {\n\"type\" : \"object\", \"required\":[\"a\", \"b\"]}\t")
		},
		"json order":  func(r *cache.Request) { r.Schema = json.RawMessage(`{"required":["a","b"],"type":"object"}`) },
		"json escape": func(r *cache.Request) { r.Schema = json.RawMessage(`{"required":["\u0061","b"],"type":"object"}`) },
		"readers":     func(r *cache.Request) { r.RAG.Readers = []string{"staff", "ann", "staff"} },
		"zero":        func(r *cache.Request) { r.Temperature = &negative },
	} {
		r := request()
		change(&r)
		if cache.RequestKey(r) != want {
			t.Errorf("%s: another key", name)
		}
	}
}

// TestRequestKeyLeavesRequest: a key of a request is made without changing it.
func TestRequestKeyLeavesRequest(t *testing.T) {
	t.Parallel()
	r := request()
	r.RAG.Readers = []string{"z", "a"}
	cache.RequestKey(r)
	cache.ContextKey(r)
	if r.RAG.Readers[0] != "z" || len(r.Messages) != 2 {
		t.Errorf("changed to %+v", r)
	}
}

// TestContextKey leaves out the question and the sources, and nothing else.
func TestContextKey(t *testing.T) {
	t.Parallel()
	want := cache.ContextKey(request())
	r := request()
	r.Messages[1].Content, r.Sources = "What is that?", nil
	if cache.ContextKey(r) != want {
		t.Error("the question is part of it")
	}
	r = request()
	r.Messages[0].Content = "Be rude."
	if cache.ContextKey(r) == want {
		t.Error("the system prompt is no part of it")
	}
	if cache.ContextKey(cache.Request{}) == cache.RequestKey(cache.Request{}) {
		t.Error("an empty request has the key of its context")
	}
}

// shuffled writes a value as JSON with its fields in random order and random blanks.
func shuffled(r *rand.Rand, v any) string {
	blank := strings.Repeat(" ", r.IntN(3))
	switch v := v.(type) {
	case map[string]any:
		var fields []string
		for k, e := range v {
			fields = append(fields, fmt.Sprintf("%q%s:%s", k, blank, shuffled(r, e)))
		}
		r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		return "{" + blank + strings.Join(fields, ","+blank) + "}"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = shuffled(r, e)
		}
		return "[" + strings.Join(parts, blank+","+blank) + blank + "]"
	}
	data, _ := json.Marshal(v)
	return string(data)
}

func value(r *rand.Rand, depth int) any {
	switch n := r.IntN(6); {
	case n == 0 && depth > 0:
		m := map[string]any{}
		for range r.IntN(4) {
			m[fmt.Sprint("k", r.IntN(9))] = value(r, depth-1)
		}
		return m
	case n == 1 && depth > 0:
		list := []any{}
		for range r.IntN(4) {
			list = append(list, value(r, depth-1))
		}
		return list
	case n == 2:
		return r.IntN(5)
	case n == 3:
		return r.IntN(2) == 0
	case n == 4:
		return nil
	}
	return string(rune('a' + r.IntN(26)))
}

// TestSchemaIsCanonical: two writings of one document have one key, two documents
// two.
func TestSchemaIsCanonical(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	forms := map[string]string{} // by key
	for range 2000 {
		v := map[string]any{"v": value(r, 3), "w": value(r, 2)}
		sorted, _ := json.Marshal(v)
		req := request()
		req.Schema = json.RawMessage(shuffled(r, v))
		k := cache.RequestKey(req)
		if form, ok := forms[k]; ok && form != string(sorted) {
			t.Fatalf("%s and %s have one key", form, sorted)
		}
		forms[k] = string(sorted)
		req.Schema = json.RawMessage(shuffled(r, v))
		if cache.RequestKey(req) != k {
			t.Fatalf("%s and its other form have two keys", sorted)
		}
	}
}

func FuzzRequestKey(f *testing.F) {
	f.Add([]byte(`{"a":1}`), []byte(`{"a":1.0}`))
	f.Add([]byte(`"\ud800"`), []byte(`"\ud801"`))
	f.Add([]byte("\"\xff\""), []byte("\"\xfe\""))
	f.Add([]byte(`{} {}`), []byte(`{}`))
	f.Add([]byte(`1e999999999`), []byte(``))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		ra, rb := request(), request()
		ra.Schema, rb.Schema = a, b
		if cache.RequestKey(ra) != cache.RequestKey(rb) {
			return
		}
		var va, vb any // equal keys: equal documents
		errA, errB := json.Unmarshal(a, &va), json.Unmarshal(b, &vb)
		if (errA == nil) != (errB == nil) || errA == nil && fmt.Sprint(va) != fmt.Sprint(vb) {
			t.Errorf("%q and %q have one key", a, b)
		}
	})
}
