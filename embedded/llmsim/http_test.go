package llmsim

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// setup returns a server with a fixed clock.
func setup(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Now = func() time.Time { return time.Unix(1_700_000_000, 0) }
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func post(t *testing.T, s *Server, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body)))
	return w
}

func TestChatWire(t *testing.T) {
	t.Parallel()
	const id = "chatcmpl-"
	for _, tc := range []struct{ name, body, want string }{
		{"whole", `{"model":"sim-small","messages":[{"role":"user","content":"Hi you"}]}`,
			`{"id":"ID","object":"chat.completion","created":1700000000,"model":"sim-small","choices":[{"index":0,"message":{"role":"assistant","content":"You said: Hi you","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":4,"total_tokens":12}}`},
		{"stream", `{"model":"sim-small","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]}`,
			`data: {"id":"ID","object":"chat.completion.chunk","created":1700000000,"model":"sim-small","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

data: {"id":"ID","object":"chat.completion.chunk","created":1700000000,"model":"sim-small","choices":[{"index":0,"delta":{"content":"You"},"finish_reason":null}],"usage":null}

data: {"id":"ID","object":"chat.completion.chunk","created":1700000000,"model":"sim-small","choices":[{"index":0,"delta":{"content":" said:"},"finish_reason":null}],"usage":null}

data: {"id":"ID","object":"chat.completion.chunk","created":1700000000,"model":"sim-small","choices":[{"index":0,"delta":{"content":" Hi"},"finish_reason":null}],"usage":null}

data: {"id":"ID","object":"chat.completion.chunk","created":1700000000,"model":"sim-small","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}

data: {"id":"ID","object":"chat.completion.chunk","created":1700000000,"model":"sim-small","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}

data: [DONE]

`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, nil)
			first := post(t, s, "/v1/chat/completions", tc.body).Body.String()
			if again := post(t, setup(t, nil), "/v1/chat/completions", tc.body).Body.String(); again != first {
				t.Errorf("another server answers differently: %s", again)
			}
			at := strings.Index(first, id)
			if at < 0 {
				t.Fatalf("no id in %s", first)
			}
			if got := strings.ReplaceAll(first, first[at:at+len(id)+24], "ID"); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestChatLimitsAndStops(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, options, text, finish string }{
		{"whole", ``, "You said: one two three", "stop"},
		{"max_tokens", `,"max_tokens":4`, "You said: one", "length"},
		{"max_completion_tokens wins", `,"max_tokens":99,"max_completion_tokens":3`, "You said:", "length"},
		{"inside a word", `,"max_tokens":1`, "You", "length"},
		{"stop", `,"stop":" two"`, "You said: one", "stop"},
		{"stops", `,"stop":["three","one"]`, "You said: ", "stop"},
		{"exact", `,"max_tokens":6`, "You said: one two three", "stop"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := post(t, setup(t, nil), "/v1/chat/completions", `{"model":"sim-small","messages":[{"role":"user","content":"one two three"}]`+tc.options+`}`)
			var got struct {
				Choices []struct {
					Message      struct{ Content string }
					FinishReason string `json:"finish_reason"`
				}
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Choices) != 1 {
				t.Fatalf("%s: %v", w.Body, err)
			}
			if c := got.Choices[0]; c.Message.Content != tc.text || c.FinishReason != tc.finish {
				t.Errorf("got %+v, want %q, %s", c, tc.text, tc.finish)
			}
		})
	}
}

func TestStreamHasABoundedNumberOfChunks(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *Config) { c.MaxChunks = 4 })
	w := post(t, s, "/v1/chat/completions", `{"model":"sim-small","stream":true,"messages":[{"role":"user","content":"`+strings.Repeat("word ", 39)+`"}]}`)
	if n := strings.Count(w.Body.String(), "data: {"); n > 4+2 || n < 4 {
		t.Errorf("%d chunks, want at most 4 and 2 around them", n)
	}
	if strings.Contains(w.Body.String(), `"usage"`) {
		t.Error("usage was sent without being asked for")
	}
}

func TestErrorsOnTheWire(t *testing.T) {
	t.Parallel()
	const chat, embed = "/v1/chat/completions", "/v1/embeddings"
	inputs := `["a"` + strings.Repeat(`,"a"`, 2048) + `]`
	for _, tc := range []struct {
		name, path, body string
		status           int
		code, param      string
	}{
		{"bad JSON", chat, `{"model":`, 400, "", ""},
		{"wrong type", chat, `{"model":3}`, 400, "invalid_type", "model"},
		{"no model", chat, `{"messages":[{"role":"user","content":"a"}]}`, 400, "", "model"},
		{"unknown model", chat, `{"model":"sim-embed","messages":[{"role":"user","content":"a"}]}`, 404, "model_not_found", "model"},
		{"no messages", chat, `{"model":"sim-small","messages":[]}`, 400, "empty_array", "messages"},
		{"role", chat, `{"model":"sim-small","messages":[{"role":"boss","content":"a"}]}`, 400, "invalid_value", "messages"},
		{"content", chat, `{"model":"sim-small","messages":[{"role":"user","content":5}]}`, 400, "invalid_type", "messages"},
		{"image", chat, `{"model":"sim-small","messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, 400, "invalid_value", "messages"},
		{"too long", chat, `{"model":"sim-small","messages":[{"role":"user","content":"` + strings.Repeat("a", 500) + `"}]}`, 400, "context_length_exceeded", "messages"},
		{"completion too long", chat, `{"model":"sim-small","max_tokens":100,"messages":[{"role":"user","content":"a"}]}`, 400, "context_length_exceeded", "messages"},
		{"max_tokens", chat, `{"model":"sim-small","max_tokens":0,"messages":[{"role":"user","content":"a"}]}`, 400, "integer_below_min_value", "max_tokens"},
		{"temperature", chat, `{"model":"sim-small","temperature":3,"messages":[{"role":"user","content":"a"}]}`, 400, "decimal_out_of_range", "temperature"},
		{"stream_options", chat, `{"model":"sim-small","stream_options":{},"messages":[{"role":"user","content":"a"}]}`, 400, "", "stream_options"},
		{"n", chat, `{"model":"sim-small","n":129,"messages":[{"role":"user","content":"a"}]}`, 400, "integer_out_of_range", "n"},
		{"tools", chat, `{"model":"sim-small","tools":[{}],"messages":[{"role":"user","content":"a"}]}`, 400, "invalid_value", "tools"},
		{"format", chat, `{"model":"sim-small","response_format":{"type":"yaml"},"messages":[{"role":"user","content":"a"}]}`, 400, "invalid_value", "response_format"},
		{"body size", chat, `{"model":"` + strings.Repeat("a", 20_000) + `"}`, 413, "", ""},
		{"no input", embed, `{"model":"sim-embed","input":[]}`, 400, "empty_array", "input"},
		{"empty input", embed, `{"model":"sim-embed","input":["a",""]}`, 400, "invalid_value", "input"},
		{"tokens as input", embed, `{"model":"sim-embed","input":[1,"a"]}`, 400, "invalid_type", "input"},
		{"too many inputs", embed, `{"model":"sim-embed","input":` + inputs + `}`, 400, "array_above_max_length", "input"},
		{"input too long", embed, `{"model":"sim-embed","input":"` + strings.Repeat("a", 500) + `"}`, 400, "context_length_exceeded", "input"},
		{"unknown embedding model", embed, `{"model":"x","input":"a"}`, 404, "model_not_found", "model"},
		{"format of vectors", embed, `{"model":"sim-embed","input":"a","encoding_format":"int8"}`, 400, "invalid_value", "encoding_format"},
		{"dimensions", embed, `{"model":"sim-embed","input":"a","dimensions":4096}`, 400, "invalid_value", "dimensions"},
		{"path", "/v1/nothing", `{}`, 404, "unknown_url", ""},
		{"method", "/v1/models", `{}`, 405, "method_not_supported", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, func(c *Config) { c.ContextTokens, c.InputTokens, c.MaxBodyBytes = 100, 100, 16_000 })
			w := post(t, s, tc.path, tc.body)
			var got struct {
				Error struct {
					Message, Type string
					Code, Param   *string
				}
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("%s: %v", w.Body, err)
			}
			e := got.Error
			if w.Code != tc.status || value(e.Code) != tc.code || value(e.Param) != tc.param || e.Message == "" || e.Type != typeInvalid {
				t.Errorf("got status %d, code %q, param %q: %s; want %d, %q, %q", w.Code, value(e.Code), value(e.Param), w.Body, tc.status, tc.code, tc.param)
			}
		})
	}
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func TestEmbeddingsWire(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	var floats struct {
		Data  []struct{ Embedding []float32 }
		Usage struct {
			PromptTokens int `json:"prompt_tokens"`
		}
	}
	var encoded struct{ Data []struct{ Embedding string } }
	for body, into := range map[string]any{
		`{"model":"sim-embed","input":["one","two words"],"dimensions":8}`:                            &floats,
		`{"model":"sim-embed","input":["one","two words"],"dimensions":8,"encoding_format":"base64"}`: &encoded,
	} {
		w := post(t, s, "/v1/embeddings", body)
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil || w.Code != 200 {
			t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
		}
	}
	if len(floats.Data) != 2 || len(encoded.Data) != 2 || floats.Usage.PromptTokens != 4 {
		t.Fatalf("got %+v and %+v", floats, encoded)
	}
	for i := range floats.Data {
		raw, err := base64.StdEncoding.DecodeString(encoded.Data[i].Embedding)
		if err != nil || len(raw) != 32 || len(floats.Data[i].Embedding) != 8 {
			t.Fatalf("%d bytes, %d floats, %v", len(raw), len(floats.Data[i].Embedding), err)
		}
		for j, v := range floats.Data[i].Embedding {
			if got := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*j:])); got != v {
				t.Errorf("vector %d component %d: %v in base64, %v in JSON", i, j, got, v)
			}
		}
	}
}

func TestModelsHealthAndKey(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *Config) { c.APIKey = "right" })
	for _, tc := range []struct {
		path, key string
		status    int
		part      string
	}{
		{"/healthz", "", 200, "ok"},
		{"/v1/models", "right", 200, `"id":"sim-embed"`},
		{"/v1/models", "wrong", 401, "invalid_api_key"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tc.path, nil)
		r.Header.Set("Authorization", "Bearer "+tc.key)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.part) {
			t.Errorf("%s with key %q: status %d, %s", tc.path, tc.key, w.Code, w.Body)
		}
	}
}

func TestLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, func(c *Config) { c.TTFT, c.PerToken = time.Second, 100*time.Millisecond })
		for _, stream := range []string{"true", "false"} {
			start := time.Now()
			post(t, s, "/v1/chat/completions", `{"model":"sim-small","stream":`+stream+`,"messages":[{"role":"user","content":"Hi you"}]}`)
			if took := time.Since(start); took != 1400*time.Millisecond {
				t.Errorf("stream %s: took %s, want 1s and 4 tokens", stream, took)
			}
		}
	})
}

func TestLedgerKeepsTheNewest(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *Config) { c.LedgerSize = 2 })
	for _, model := range []string{"a", "b", "sim-embed"} {
		post(t, s, "/v1/embeddings", `{"model":"`+model+`","input":"abcd"}`)
	}
	l := s.Ledger()
	if l.Requests != 3 || l.Embeddings != 3 || l.InFlight != 0 || l.Statuses[404] != 2 || l.PromptTokens != 1 ||
		len(l.Last) != 2 || l.Last[0].Model != "b" || l.Last[1].Seq != 3 {
		t.Errorf("got %+v", l)
	}
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"both empty":        func(c *Config) { c.ChatModels, c.EmbeddingModels = nil, nil },
		`"sim-small"`:       func(c *Config) { c.EmbeddingModels = []string{"sim-small"} },
		"Dimensions is 7":   func(c *Config) { c.Dimensions = 7 },
		"ContextTokens":     func(c *Config) { c.ContextTokens = 0 },
		"MaxChunks is 0":    func(c *Config) { c.MaxChunks = 0 },
		"TTFT is -1":        func(c *Config) { c.TTFT = -1 },
		"LedgerSize is -2":  func(c *Config) { c.LedgerSize = -2 },
		"MaxBodyBytes is 0": func(c *Config) { c.MaxBodyBytes = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
