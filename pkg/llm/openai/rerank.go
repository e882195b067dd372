package openai

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// Rerank implements llm.Reranker for endpoints with one of the shapes of
// Dialect.Rerank. An answer that does not hold one finite score for each
// document asked for is an error of ClassUnavailable.
func (c *Client) Rerank(ctx context.Context, req llm.RerankRequest) (llm.RerankResponse, error) {
	cl := &call{doing: "rerank", idempotencyKey: req.IdempotencyKey}
	callCtx, end := c.begin(ctx, cl, req.Meta)
	defer end()
	if err := cl.check(ctx, req.Model, "documents", len(req.Documents)); err != nil {
		return llm.RerankResponse{}, err
	}
	switch {
	case c.cfg.Dialect.Rerank == "":
		return llm.RerankResponse{}, event.Invalid("model", "use a model of a provider whose dialect names a rerank shape", "rerank: %s has no rerank endpoint", c.endpoint)
	case req.TopN < 0:
		return llm.RerankResponse{}, event.Invalid("top_n", "use 0 for all documents, or more", "rerank: top_n is %d", req.TopN)
	}
	answer, err := c.postRerank(callCtx, cl, req)
	if err != nil {
		return llm.RerankResponse{}, c.wrap(ctx, cl, err)
	}
	ranked, err := best(answer.Results, len(req.Documents), req.TopN)
	if err != nil {
		return llm.RerankResponse{}, c.wrap(ctx, cl, err)
	}
	tokens := cmp.Or(answer.Usage.PromptTokens, answer.Usage.TotalTokens)
	return llm.RerankResponse{Results: ranked, Model: cmp.Or(answer.Model, req.Model), Usage: llm.Usage{PromptTokens: tokens}}, nil
}

// rerankRequest and rerankAnswer are the shape that Jina, vLLM and Cohere share.
type rerankRequest struct {
	Model           string   `json:"model"`
	Query           string   `json:"query"`
	Documents       []string `json:"documents"`
	TopN            int      `json:"top_n,omitempty"`
	ReturnDocuments *bool    `json:"return_documents,omitempty"` // Cohere has none
}

type rerankAnswer struct {
	Model   string       `json:"model"`
	Results []rerankItem `json:"results"`
	Usage   struct {
		PromptTokens int `json:"prompt_tokens"`
		TotalTokens  int `json:"total_tokens"`
	} `json:"usage"`
}

// rerankItem is one score; TEI calls it "score".
type rerankItem struct {
	Index *int     `json:"index"`
	Score *float64 `json:"relevance_score"`
	TEI   *float64 `json:"score"`
}

// teiRequest is TEI's own shape; its answer is the bare list of scores.
type teiRequest struct {
	Query string   `json:"query"`
	Texts []string `json:"texts"`
}

// postRerank makes the call in the dialect's shape. TEI has its endpoint beside
// its OpenAI-compatible ones, not below their version.
func (c *Client) postRerank(ctx context.Context, cl *call, req llm.RerankRequest) (rerankAnswer, error) {
	var out rerankAnswer
	if c.cfg.Dialect.Rerank == rerankTEI {
		base := strings.TrimSuffix(c.cfg.BaseURL, "/v1")
		err := c.post(ctx, cl, base+"/rerank", teiRequest{Query: req.Query, Texts: req.Documents}, &out.Results)
		return out, err
	}
	body := rerankRequest{Model: req.Model, Query: req.Query, Documents: req.Documents, TopN: req.TopN}
	if c.cfg.Dialect.Rerank == rerankJina {
		body.ReturnDocuments = new(bool)
	}
	err := c.post(ctx, cl, c.cfg.BaseURL+"/rerank", body, &out)
	return out, err
}

// post sends in as JSON through the doer and reads the answer into out.
func (c *Client) post(ctx context.Context, cl *call, url string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%w: %w", errEncode, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := c.doer.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if cl.failure != nil {
		return cl.failure
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, out)
}

// best is the n best of the scores, best first (all if n is 0), checked against
// the number of documents.
func best(items []rerankItem, documents, n int) ([]llm.Ranked, error) {
	want := documents
	if n > 0 {
		want = min(n, documents)
	}
	if len(items) < want || len(items) > documents {
		return nil, fmt.Errorf("the provider sent %d scores, want %d of %d", len(items), want, documents)
	}
	seen := make([]bool, documents)
	out := make([]llm.Ranked, 0, len(items))
	for _, item := range items {
		score := cmp.Or(item.Score, item.TEI)
		switch {
		case item.Index == nil || score == nil:
			return nil, errors.New("the provider sent a score without index or value")
		case *item.Index < 0 || *item.Index >= documents || seen[*item.Index]:
			return nil, fmt.Errorf("the provider sent index %d twice or out of range", *item.Index)
		}
		seen[*item.Index] = true
		out = append(out, llm.Ranked{Index: *item.Index, Score: *score})
	}
	slices.SortStableFunc(out, func(a, b llm.Ranked) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Index, b.Index))
	})
	return out[:want], nil
}
