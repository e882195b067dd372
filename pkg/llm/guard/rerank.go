package guard

import (
	"context"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/tokens"
)

// Rerank scores documents against a query, by the same way as Embed; req.Model is
// set to the provider's name. Where a provider reports no usage (Cohere, TEI), the
// response's is our own count.
func (g *Guard) Rerank(ctx context.Context, c Call, req llm.RerankRequest) (llm.RerankResponse, Report, error) {
	m, err := g.begin(ctx, c.Model, catalog.ModeRerank)
	if err != nil {
		return llm.RerankResponse{}, Report{}, err
	}
	reranker, ok := m.endpoint.(llm.Reranker)
	if !ok {
		return llm.RerankResponse{}, Report{}, event.Invalid("model", "use a model of a provider that can rerank", "the provider of model %s can't rerank", m.ID)
	}
	req.Model = m.Upstream
	est, err := g.estimateRerank(m, req.Query, req.Documents)
	if err != nil {
		return llm.RerankResponse{}, Report{}, err
	}
	var resp llm.RerankResponse
	r := &run{g: g, c: &c, m: m, est: est}
	r.do = func(ctx context.Context, meta *llm.Meta) (out outcome, err error) {
		req.Meta = meta
		calling, cancel := context.WithTimeout(ctx, time.Duration(m.Timeouts.Total))
		defer cancel()
		resp, err = reranker.Rerank(calling, req)
		return outcome{usage: resp.Usage}, err
	}
	out, err := r.attempts(ctx)
	if err != nil {
		return llm.RerankResponse{}, r.report, err
	}
	resp.Usage = out.usage
	return resp, r.report, nil
}

// estimateRerank estimates a rerank request: a model reads each document together
// with the query, and that is what providers count.
func (g *Guard) estimateRerank(m *model, query string, documents []string) (estimate, error) {
	messages := make([]event.Message, len(documents))
	for i, text := range documents {
		messages[i].Content = text
	}
	size, err := g.measure(m, tokens.Overhead{}, messages)
	if err != nil {
		return estimate{}, err
	}
	each, err := g.measure(m, tokens.Overhead{}, []event.Message{{Content: query}})
	if err != nil {
		return estimate{}, err
	}
	n := len(documents)
	size.Bytes, size.Chars, size.Tokens = size.Bytes+n*each.Bytes, size.Chars+n*each.Chars, size.Tokens+n*each.Tokens
	return g.estimate(m, size, messages, answer{})
}
