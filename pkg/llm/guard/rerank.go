package guard

import (
	"context"

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
	usage, report, err := g.answer(ctx, &c, m, est, func(ctx context.Context, meta *llm.Meta) (_ llm.Usage, err error) {
		req.Meta = meta
		resp, err = reranker.Rerank(ctx, req)
		return resp.Usage, err
	})
	if err != nil {
		return llm.RerankResponse{}, report, err
	}
	resp.Usage = usage
	return resp, report, nil
}

// estimateRerank estimates a rerank request: a model reads each document together
// with the query, and that is what providers count.
func (g *Guard) estimateRerank(m *model, query string, documents []string) (estimate, error) {
	messages := contents(documents...)
	size, err := g.measure(m, tokens.Overhead{}, messages)
	if err != nil {
		return estimate{}, err
	}
	each, err := g.measure(m, tokens.Overhead{}, contents(query))
	if err != nil {
		return estimate{}, err
	}
	n := len(documents)
	size.Bytes, size.Chars, size.Tokens = size.Bytes+n*each.Bytes, size.Chars+n*each.Chars, size.Tokens+n*each.Tokens
	return g.estimate(m, size, messages, answer{})
}
