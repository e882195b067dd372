package openai

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

const (
	jinaAnswer   = `{"id":"x","model":"r-1","usage":{"total_tokens":12},"results":[{"index":1,"relevance_score":0.1,"document":{"text":"b"}},{"index":2,"relevance_score":-0.5},{"index":0,"relevance_score":0.9}]}`
	cohereAnswer = `{"id":"x","results":[{"index":0,"relevance_score":0.9},{"index":1,"relevance_score":0.1},{"index":2,"relevance_score":-0.5}],"meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1}}}`
	teiAnswer    = `[{"index":2,"score":-0.5},{"index":0,"score":0.9},{"index":1,"score":0.1}]`
)

func rerank(t *testing.T, c *Client, topN int) (llm.RerankResponse, error) {
	return c.Rerank(t.Context(), llm.RerankRequest{Model: "r", Query: "q", Documents: []string{"a", "b", "c"}, TopN: topN})
}

func TestRerank(t *testing.T) {
	t.Parallel()
	ranked := []llm.Ranked{{Index: 0, Score: 0.9}, {Index: 1, Score: 0.1}, {Index: 2, Score: -0.5}}
	for _, tc := range []struct {
		shape, answer string
		topN          int
		path, sent    string
		model         string
		tokens        int
	}{
		{rerankJina, jinaAnswer, 0, "/v1/rerank", `{"documents":["a","b","c"],"model":"r","query":"q","return_documents":false}`, "r-1", 12},
		{rerankJina, jinaAnswer, 2, "/v1/rerank", `{"documents":["a","b","c"],"model":"r","query":"q","return_documents":false,"top_n":2}`, "r-1", 12},
		{"cohere", cohereAnswer, 3, "/v1/rerank", `{"documents":["a","b","c"],"model":"r","query":"q","top_n":3}`, "r", 0},
		{rerankTEI, teiAnswer, 2, "/rerank", `{"query":"q","texts":["a","b","c"]}`, "r", 0},
	} {
		var got seen
		c := setup(t, noting(&got, replies(200, "application/json", tc.answer)), func(c *Config) { c.Dialect.Rerank = tc.shape })
		res, err := rerank(t, c, tc.topN)
		if err != nil {
			t.Fatal(err)
		}
		want := ranked
		if tc.topN > 0 {
			want = ranked[:tc.topN]
		}
		if !slices.Equal(res.Results, want) || res.Model != tc.model || res.Usage.PromptTokens != tc.tokens {
			t.Errorf("%s: got %+v, want %+v", tc.shape, res, want)
		}
		sent, _ := json.Marshal(got.body)
		if string(sent) != tc.sent || got.path != tc.path || got.header.Get("Authorization") != "Bearer sk-secret-key" {
			t.Errorf("%s: sent %s to %s, want %s to %s", tc.shape, sent, got.path, tc.sent, tc.path)
		}
	}
}

func TestRerankErrors(t *testing.T) {
	t.Parallel()
	answers := func(body string) http.HandlerFunc { return replies(200, "application/json", body) }
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		class   event.Class
		part    string
	}{
		{"too few", answers(`[{"index":0,"score":1}]`), event.ClassUnavailable, "1 scores, want 3 of 3"},
		{"index twice", answers(`[{"index":0,"score":1},{"index":0,"score":1},{"index":1,"score":1}]`), event.ClassUnavailable, "index 0"},
		{"index out of range", answers(`[{"index":0,"score":1},{"index":3,"score":1},{"index":1,"score":1}]`), event.ClassUnavailable, "index 3"},
		{"no index", answers(`[{"score":1},{"index":2,"score":1},{"index":1,"score":1}]`), event.ClassUnavailable, "without index"},
		{"no score", answers(`[{"index":0},{"index":2,"score":1},{"index":1,"score":1}]`), event.ClassUnavailable, "without index or value"},
		{"cut off", answers(teiAnswer[:20]), event.ClassUnavailable, "reading the answer"},
		{"error with status 200", answers(errorBody("insufficient_quota", "", "no money")), event.ClassQuota, "no money"},
		{"overloaded", headed(replies(429, "application/json", `{"error":"Model is overloaded","error_type":"overloaded"}`), "Retry-After", "3"), event.ClassThrottled, "Model is overloaded"},
		{"too large", replies(413, "application/json", `{"error":"batch size 40 > maximum allowed batch size 32","error_type":"validation"}`), event.ClassTooLarge, "batch size"},
		{"lost", lose, event.ClassUnavailable, ""},
		{"no answer", silent, event.ClassUnavailable, "no complete answer within 300ms"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := setup(t, tc.handler, func(c *Config) {
				c.Dialect.Rerank, c.Timeouts.Total = rerankTEI, 300*time.Millisecond
			})
			_, err := rerank(t, c, 0)
			e := wantClass(t, err, tc.class, tc.part)
			if tc.name == "overloaded" && e.RetryAfter != 3*time.Second {
				t.Errorf("RetryAfter %s, want 3s", e.RetryAfter)
			}
		})
	}
	_, err := rerank(t, setup(t, silent), 0)
	wantClass(t, err, event.ClassInvalid, "no rerank endpoint")
	_, err = rerank(t, setup(t, silent, func(c *Config) { c.Dialect.Rerank = rerankTEI }), -1)
	wantClass(t, err, event.ClassInvalid, "top_n is -1")
}
