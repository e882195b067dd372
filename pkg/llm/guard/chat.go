package guard

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/tokens"
)

// Chat makes a completion. req.Model is set to the provider's name and MaxTokens,
// when 0, to the model's; what the model can't do by the catalog is left out, and the
// mode of req.Format is the most binding one it has, with the instruction for it in
// the prompt. The report holds what went out, also with an error.
//
// Errors are *event.Error. One of a class that another model may not have is a
// reason to fall back; ErrFenced of pkg/ledger says that a later delivery has
// taken the task over, and nothing must be done.
func (g *Guard) Chat(ctx context.Context, c Call, req llm.ChatRequest) (llm.ChatResponse, Report, error) {
	m, err := g.begin(ctx, c.Model, catalog.ModeChat)
	if err != nil {
		return llm.ChatResponse{}, Report{}, err
	}
	req.Model = m.Upstream
	if req.MaxTokens == 0 {
		req.MaxTokens = m.MaxTokens
	}
	if req.HasTools() && !m.Supports.Tools {
		return llm.ChatResponse{}, Report{}, NoTools(m.ID)
	}
	shape(&req, m.Supports)
	sized := withAll(req)
	est, err := g.estimateChat(m, c.Tenant, &sized)
	if err != nil {
		return llm.ChatResponse{}, Report{}, err
	}
	r := &run{g: g, c: &c, m: m, est: est, books: true}
	show := req.OnDelta
	r.do = func(ctx context.Context, meta *llm.Meta) (outcome, error) {
		req.Meta = meta
		if sent := g.cfg.Now(); show != nil {
			req.OnDelta = func(text string) error {
				if meta.TTFT == 0 {
					meta.TTFT = g.cfg.Now().Sub(sent)
				}
				return show(text)
			}
		}
		req.IdempotencyKey = fmt.Sprintf("%s.%s.%s", c.Tenant, c.Job, c.Step)
		resp, err := m.endpoint.Chat(ctx, req)
		if err != nil {
			return outcome{}, err
		}
		g.watchModel(m, resp.Model)
		return outcome{usage: resp.Usage, tier: resp.ServiceTier, answer: &ledger.Answer{
			Text: resp.Text, ToolCalls: resp.ToolCalls, FinishReason: resp.FinishReason, Model: resp.Model, ServiceTier: resp.ServiceTier, Logprobs: resp.Logprobs}}, nil
	}
	out, err := r.attempts(ctx)
	if err != nil {
		return llm.ChatResponse{}, r.report, err
	}
	return llm.ChatResponse{Text: out.answer.Text, ToolCalls: out.answer.ToolCalls, FinishReason: out.answer.FinishReason, Model: out.answer.Model,
		ServiceTier: out.tier, Usage: out.usage, Logprobs: out.answer.Logprobs}, r.report, nil
}

// shape leaves in a request only what the model can do, and chooses how it is asked
// for JSON.
func shape(req *llm.ChatRequest, can catalog.Supports) {
	req.Logprobs = req.Logprobs && can.Logprobs
	if can.Temperature != nil && !*can.Temperature {
		req.Temperature = nil
	}
	if !can.Seed {
		req.Seed = nil
	}
	if req.Format == nil {
		return
	}
	format := *req.Format
	can.Tools = can.Tools && !req.HasTools() // the answer would be one tool among others
	format.Mode = format.BestMode(can)
	req.Format, req.Messages = &format, llm.Instruct(req.Messages, &format)
}

// NoTools is the error of a job with tools for a model that takes none.
func NoTools(model string) *event.Error {
	return event.Invalid("tools", "leave them out, name a model that takes them, or correct supports.tools in the catalog", "model %s does not take tools", model)
}

// withAll is the request with what travels beside the texts of its messages as more
// messages, because providers count it as input: the schema, the tools, and the
// calls of earlier turns.
func withAll(req llm.ChatRequest) llm.ChatRequest {
	var beside []string
	if f := req.Format; f != nil && f.Mode != llm.FormatNone {
		beside = append(beside, string(f.Schema))
	}
	if req.HasTools() {
		beside = append(beside, string(req.Tools))
	}
	for _, m := range req.Messages {
		for _, call := range m.ToolCalls {
			beside = append(beside, call.Function.Name+call.Function.Arguments)
		}
	}
	if len(beside) > 0 {
		req.Messages = slices.Concat(req.Messages, contents(beside...))
	}
	return req
}

// Embed embeds a batch of texts; req.Model is set to the provider's name. Its
// calls are not in the ledger as such: the caller's documents are. Where a provider
// reports no usage, the response's is our own count.
func (g *Guard) Embed(ctx context.Context, c Call, req llm.EmbedRequest) (llm.EmbedResponse, Report, error) {
	m, err := g.begin(ctx, c.Model, catalog.ModeEmbedding)
	if err != nil {
		return llm.EmbedResponse{}, Report{}, err
	}
	req.Model, req.Dimensions = m.Upstream, 0
	if m.Shorten {
		req.Dimensions = m.Dimensions
	}
	est, err := g.estimateEmbed(m, req.Inputs)
	if err != nil {
		return llm.EmbedResponse{}, Report{}, err
	}
	var resp llm.EmbedResponse
	usage, report, err := g.answer(ctx, &c, m, est, func(ctx context.Context, meta *llm.Meta) (_ llm.Usage, err error) {
		req.Meta = meta
		resp, err = m.endpoint.Embed(ctx, req)
		return resp.Usage, err
	})
	if err != nil {
		return llm.EmbedResponse{}, report, err
	}
	resp.Usage = usage
	return resp, report, nil
}

// answer makes a call that has one answer, within the model's total time for each
// attempt, and that is not in the ledger as such.
func (g *Guard) answer(ctx context.Context, c *Call, m *model, est estimate, call func(context.Context, *llm.Meta) (llm.Usage, error)) (llm.Usage, Report, error) {
	r := &run{g: g, c: c, m: m, est: est}
	r.do = func(ctx context.Context, meta *llm.Meta) (outcome, error) {
		calling, cancel := context.WithTimeout(ctx, time.Duration(m.Timeouts.Total))
		defer cancel()
		usage, err := call(calling, meta)
		return outcome{usage: usage}, err
	}
	out, err := r.attempts(ctx)
	return out.usage, r.report, err
}

// begin waits for the guard and looks the model up.
func (g *Guard) begin(ctx context.Context, name string, mode catalog.Mode) (*model, error) {
	select {
	case <-g.ready:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the shared state: %w", context.Cause(ctx))
	}
	return g.find(name, mode)
}

// countedUsage is our own count, of an answer whose provider reports no usage.
func (r *run) countedUsage(out outcome) llm.Usage {
	u := llm.Usage{PromptTokens: r.est.counted}
	if out.answer != nil {
		if size, err := r.g.measure(r.m, tokens.Overhead{}, withAll(llm.ChatRequest{Messages: []llm.Message{{Content: out.answer.Text, ToolCalls: out.answer.ToolCalls}}}).Messages); err == nil {
			u.CompletionTokens = size.Tokens
		}
	}
	return u
}

// learn lets the calibration see what a call took.
func (g *Guard) learn(r *run, u llm.Usage) {
	if c := r.m.Tokens.Calibrate; c != nil && !*c {
		return
	}
	g.calibration.Observe(tokens.Usage{Tenant: r.c.Tenant, Model: r.m.ID, Kind: r.est.kind,
		Counted: r.est.counted, Prompt: u.PromptTokens, Completion: u.CompletionTokens})
	if ratio := g.calibration.Ratio(r.m.ID, r.est.kind); ratio.N > 0 {
		g.metrics.ratio.WithLabelValues(r.m.ID, string(r.est.kind)).Set(ratio.Mean)
	}
}

// watchModel counts answers of a model that was not asked for.
func (g *Guard) watchModel(m *model, answered string) {
	if answered == "" || answered == m.Upstream || versionOf(answered, m.Upstream) {
		return
	}
	g.metrics.otherModel.WithLabelValues(m.ID).Inc()
}

// versionOf recognises a dated version of a model: name-2026-01-31.
func versionOf(answered, asked string) bool {
	return len(answered) > len(asked) && answered[:len(asked)] == asked && answered[len(asked)] == '-'
}
