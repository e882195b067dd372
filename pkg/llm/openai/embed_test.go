package openai

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// item is one vector of an embeddings answer.
func item(index int, values ...float32) string {
	raw := []byte{}
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return fmt.Sprintf(`{"object":"embedding","index":%d,"embedding":%q}`, index, base64.StdEncoding.EncodeToString(raw))
}

func vectors(items ...string) string {
	return `{"object":"list","model":"e-1","data":[` + strings.Join(items, ",") + `],"usage":{"prompt_tokens":5,"total_tokens":5}}`
}

func TestEmbed(t *testing.T) {
	t.Parallel()
	var body map[string]any
	c := setup(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(raw, &body)
		if r.Header.Get("Idempotency-Key") != "k" || r.URL.Path != "/v1/embeddings" {
			t.Errorf("%s, headers %v", r.URL.Path, r.Header)
		}
		replies(200, "application/json", vectors(item(1, 0, 1), item(0, 1, 0)))(w, r)
	})
	got, err := c.Embed(t.Context(), llm.EmbedRequest{Model: "e", Inputs: []string{"a", ""}, Dimensions: 2, IdempotencyKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Vectors) != 2 || !slices.Equal(got.Vectors[0], []float32{1, 0}) || !slices.Equal(got.Vectors[1], []float32{0, 1}) ||
		got.Model != "e-1" || got.Usage.PromptTokens != 5 {
		t.Errorf("got %+v", got)
	}
	sent, _ := json.Marshal(body)
	if want := `{"dimensions":2,"encoding_format":"base64","input":["a",""],"model":"e"}`; string(sent) != want {
		t.Errorf("sent %s, want %s", sent, want)
	}
}

func TestEmbedErrors(t *testing.T) {
	t.Parallel()
	nan := float32(math.NaN())
	ok := func(items ...string) http.HandlerFunc { return replies(200, "application/json", vectors(items...)) }
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		class   event.Class
		part    string
	}{
		{"too few", ok(item(0, 1, 0)), event.ClassUnavailable, "1 vectors for 2 inputs"},
		{"index twice", ok(item(0, 1, 0), item(0, 1, 0)), event.ClassUnavailable, "index 0"},
		{"index out of range", ok(item(0, 1, 0), item(2, 1, 0)), event.ClassUnavailable, "index 2"},
		{"unequal", ok(item(0, 1, 0), item(1, 1)), event.ClassUnavailable, "dimensions"},
		{"empty", ok(item(0), item(1)), event.ClassUnavailable, "empty"},
		{"not a number", ok(item(0, 1, nan), item(1, 1, 0)), event.ClassUnavailable, "no number"},
		{"not base64", ok(`{"index":0,"embedding":"*"}`, item(1, 1)), event.ClassUnavailable, "reading the answer"},
		{"cut off", replies(200, "application/json", vectors(item(0, 1, 0))[:60]), event.ClassUnavailable, "reading the answer"},
		{"HTML with status 200", replies(200, "text/html", "<title>Login</title>"), event.ClassUnavailable, "Login"},
		{"error with status 200", replies(200, "application/json", errorBody("insufficient_quota", "", "no money")), event.ClassQuota, "no money"},
		{"string error", replies(429, "application/json", `{"error":"Model is overloaded","error_type":"overloaded"}`), event.ClassThrottled, "Model is overloaded"},
		{"throttled", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "3")
			replies(429, "application/json", errorBody("rate_limit_exceeded", "tokens", "wait"))(w, r)
		}, event.ClassThrottled, "wait"},
		{"too many inputs", replies(413, "text/plain", "batch size 2 > 1"), event.ClassTooLarge, "batch size"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := setup(t, tc.handler).Embed(t.Context(), llm.EmbedRequest{Model: "e", Inputs: []string{"a", "b"}})
			e := wantClass(t, err, tc.class, tc.part)
			if tc.name == "throttled" && e.RetryAfter != 3*time.Second {
				t.Errorf("RetryAfter %s, want 3s", e.RetryAfter)
			}
		})
	}
	c := setup(t, ok(item(0, 1, 0)))
	_, err := c.Embed(t.Context(), llm.EmbedRequest{Model: "e", Inputs: []string{"a"}, Dimensions: 3})
	wantClass(t, err, event.ClassUnavailable, "2 dimensions, want 3")
	_, err = c.Embed(t.Context(), llm.EmbedRequest{Model: "e"})
	wantClass(t, err, event.ClassInvalid, "inputs")
	_, err = c.Embed(t.Context(), llm.EmbedRequest{Inputs: []string{"a"}})
	wantClass(t, err, event.ClassInvalid, "model")
}
