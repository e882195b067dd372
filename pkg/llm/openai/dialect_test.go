package openai

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// seen is a request as the server got it.
type seen struct {
	header http.Header
	query  string
	path   string
	body   map[string]any
}

// noting keeps the request in s before handler answers.
func noting(s *seen, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		s.header, s.query, s.path, s.body = r.Header, r.URL.RawQuery, r.URL.Path, nil
		_ = json.Unmarshal(raw, &s.body)
		handler(w, r)
	}
}

func TestAuth(t *testing.T) {
	t.Parallel()
	for auth, want := range map[string]string{"": "Bearer sk-secret-key||", authBearer: "Bearer sk-secret-key||", "api-key": "|sk-secret-key|", "x-api-key": "||sk-secret-key", authNone: "||"} {
		var got seen
		c := setup(t, noting(&got, streams(wholeStream)), func(c *Config) {
			c.Dialect.Auth = auth
			c.Headers, c.Query = map[string]string{"X-Org": "o"}, map[string]string{"api-version": "2026-01-01"}
		})
		if _, err := ask(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		keys := strings.Join([]string{got.header.Get("Authorization"), got.header.Get("Api-Key"), got.header.Get("X-Api-Key")}, "|")
		if keys != want || got.header.Get("X-Org") != "o" || got.query != "api-version=2026-01-01" {
			t.Errorf("auth %q: keys %s, query %s, headers %v", auth, keys, got.query, got.header)
		}
	}
}

func TestDialectShapesTheRequest(t *testing.T) {
	t.Parallel()
	off := false
	var got seen
	c := setup(t, noting(&got, streams(roleFrame+helloFrame+stopFrame+doneFrame)), func(c *Config) {
		c.Dialect = catalog.Dialect{
			MaxTokensField: MaxCompletionTokens, StreamUsage: &off, IdempotencyHeader: "X-Once",
			ExtraBody: map[string]any{"reasoning_effort": "low", "top_k": 5},
		}
		c.ExtraBody = map[string]any{"top_k": 6}
	})
	req := hi()
	req.MaxTokens, req.IdempotencyKey = 9, "k"
	if _, err := c.Chat(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(got.body)
	want := `{"max_completion_tokens":9,"messages":[{"content":"hi","role":"user"}],"model":"m","reasoning_effort":"low","stream":true,"top_k":6}`
	if string(body) != want || got.header.Get("X-Once") != "k" || got.header.Get("Idempotency-Key") != "" {
		t.Errorf("body %s\nwant %s\nheaders %v", body, want, got.header)
	}
	c = setup(t, noting(&got, streams(wholeStream)), func(c *Config) {
		c.ExtraBody = map[string]any{streamOptions: map[string]any{"include_obfuscation": false}}
	})
	if _, err := ask(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if options := fmt.Sprint(got.body[streamOptions]); options != "map[include_obfuscation:false include_usage:true]" {
		t.Errorf("stream_options %s", options)
	}
}

func TestDoneMarkerOptional(t *testing.T) {
	t.Parallel()
	whole := roleFrame + helloFrame + stopFrame + usageFrame
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		class   event.Class
	}{
		"clean end":                   {streams(whole), ""},
		"with DONE":                   {streams(whole + doneFrame), ""},
		"no finish_reason":            {streams(roleFrame + helloFrame), event.ClassTruncated},
		"cut inside a frame":          {streams(whole + "data: {\"id\""), event.ClassTruncated},
		"cut after a line of a frame": {streams(whole + "data: {}\n"), event.ClassTruncated},
		"connection cut":              {cut(whole), event.ClassTruncated},
	} {
		c := setup(t, tc.handler, func(c *Config) { c.Dialect.DoneMarker = optional })
		got, err := ask(t.Context(), c)
		if tc.class != "" {
			wantClass(t, err, tc.class, "")
			continue
		}
		if err != nil || got.Text != "Hello" || got.Usage.PromptTokens != 9 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestUsageAndTier(t *testing.T) {
	t.Parallel()
	usage := `data: {"id":"c","model":"m-1","service_tier":"flex","choices":[],"usage":{"prompt_tokens":90,"completion_tokens":20,"total_tokens":110,` +
		`"prompt_tokens_details":{"cached_tokens":40,"cache_write_tokens":7},"completion_tokens_details":{"reasoning_tokens":12}}}` + "\n\n"
	got, err := ask(t.Context(), setup(t, streams(strings.Replace(wholeStream, usageFrame, usage, 1))))
	want := llm.Usage{PromptTokens: 90, CompletionTokens: 20, CachedTokens: 40, CacheWriteTokens: 7, ReasoningTokens: 12}
	if err != nil || got.Usage != want || got.ServiceTier != "flex" {
		t.Errorf("got %+v, %v; want %+v and tier flex", got, err, want)
	}
}

func TestLengthIsAResponse(t *testing.T) {
	t.Parallel()
	got, err := ask(t.Context(), setup(t, streams(strings.Replace(wholeStream, `"stop"`, `"length"`, 1))))
	if err != nil || got.FinishReason != "length" || got.Text != "Hello world" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEmbeddingsAsNumbers(t *testing.T) {
	t.Parallel()
	off := false
	numbers := func(second string) http.HandlerFunc {
		return replies(200, "application/json", `{"object":"list","data":[{"object":"embedding","embedding" : [0.5,-1e-3],"index":1},{"embedding":`+second+`,"index":0}],"model":"e-1","usage":{"prompt_tokens":5}}`)
	}
	for _, tc := range []struct {
		format string
		base64 *bool
	}{{"base64", nil}, {"float", &off}} {
		var sent seen
		c := setup(t, noting(&sent, numbers("[3,4]")), func(c *Config) { c.Dialect.Base64 = tc.base64 })
		got, err := c.Embed(t.Context(), llm.EmbedRequest{Model: "e", Inputs: []string{"a", "b"}})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Vectors[0], []float32{3, 4}) || !slices.Equal(got.Vectors[1], []float32{0.5, -1e-3}) || got.Usage.PromptTokens != 5 || got.Model != "e-1" || sent.body["encoding_format"] != tc.format {
			t.Errorf("%s: got %+v, sent %v", tc.format, got, sent.body)
		}
	}
	for _, bad := range []string{"[1e40,1]", `"*"`, "[1", "[1]", "null"} {
		_, err := setup(t, numbers(bad)).Embed(t.Context(), llm.EmbedRequest{Model: "e", Inputs: []string{"a", "b"}})
		wantClass(t, err, event.ClassUnavailable, "")
	}
}

func TestConfigFor(t *testing.T) {
	t.Parallel()
	p := catalog.Provider{ID: "p", BaseURL: "http://p/v1", Headers: map[string]string{"A": "b"}, Query: map[string]string{"c": "d"}, MaxConns: 7,
		Dialect: catalog.Dialect{Auth: "api-key", MaxTokensField: MaxTokens}}
	m := catalog.Model{Timeouts: catalog.Timeouts{TTFT: catalog.Duration(time.Second), Total: catalog.Duration(time.Hour)}}
	cfg := ConfigFor(p, m, "key")
	full := cfg.withDefaults()
	if cfg.APIKey != "key" || cfg.BaseURL != p.BaseURL || cfg.Headers["A"] != "b" || cfg.Query["c"] != "d" || cfg.MaxConnsPerHost != 7 || cfg.Dialect.Auth != "api-key" {
		t.Errorf("got %+v", cfg)
	}
	if want := (Timeouts{FirstToken: time.Second, Idle: 20 * time.Second, Total: time.Hour}); full.Timeouts != want || full.MaxTokensField != MaxTokens {
		t.Errorf("timeouts %+v, field %s", full.Timeouts, full.MaxTokensField)
	}
	m.Supports.MaxTokensField = MaxCompletionTokens
	if got := ConfigFor(p, m, "").withDefaults().MaxTokensField; got != MaxCompletionTokens {
		t.Errorf("the model's field is %s", got)
	}
}

func TestValidateDialect(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]catalog.Dialect{
		`Dialect.Auth is "basic", want one of bearer`: {Auth: "basic"},
		"Dialect.DoneMarker":                          {DoneMarker: "never"},
		"Dialect.Rerank":                              {Rerank: "voyage"},
		"Dialect.RetryHints":                          {RetryHints: []string{"message", "guess"}},
		"Dialect.MaxTokensField":                      {MaxTokensField: "tokens"},
		"Dialect.ExtraBody":                           {ExtraBody: map[string]any{"f": func() {}}},
	} {
		if _, err := New(Config{BaseURL: "http://x", Dialect: d}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestBuiltInDialectsAreValid(t *testing.T) {
	t.Parallel()
	known, err := catalog.Dialects()
	if err != nil || len(known) == 0 {
		t.Fatalf("%d dialects, %v", len(known), err)
	}
	for name, d := range known {
		if _, err := New(Config{BaseURL: "http://x", Dialect: d}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
