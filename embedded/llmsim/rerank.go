package llmsim

import (
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"unicode/utf8"
)

const (
	maxDocuments = 1000 // of one request, as Cohere has it
	// The constants of BM25 as Robertson and Zaragoza (2009) recommend them.
	bm25K = 1.2
	bm25B = 0.75
	// A relevance is the sigmoid of a logit: the share of the query's weight
	// that a document covers, stretched so that half of it is a relevance of ½.
	logitSlope = 8
	logitAt    = 0.5
)

// rerankRequest is one of the shapes of Jina, Cohere and vLLM (documents) or
// of Text Embeddings Inference (texts).
type rerankRequest struct {
	Model           string           `json:"model"`
	Query           string           `json:"query"`
	Documents       []rerankDocument `json:"documents"`
	TopN            *int             `json:"top_n"`
	ReturnDocuments bool             `json:"return_documents"`

	Texts      []string `json:"texts"`
	RawScores  bool     `json:"raw_scores"`
	ReturnText bool     `json:"return_text"`
}

// rerankDocument is a text or an object with one.
type rerankDocument struct {
	Text string `json:"text"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *rerankDocument) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &d.Text) == nil {
		return nil
	}
	type plain rerankDocument
	if err := json.Unmarshal(data, (*plain)(d)); err != nil {
		return invalid("documents", "invalid_type", "Invalid type for 'documents': expected strings or objects with 'text'.")
	}
	return nil
}

// check reports what the API would refuse.
func (q *rerankRequest) check() error {
	n := len(q.Documents) + len(q.Texts)
	switch {
	case q.Query == "":
		return invalid("query", "missing_required_parameter", "Missing required parameter: 'query'.")
	case q.Texts == nil && q.Model == "":
		return invalid("model", "", "you must provide a model parameter")
	case n == 0:
		return invalid("documents", "empty_array", "Invalid 'documents': expected at least one text.")
	case q.Texts != nil && q.Documents != nil:
		return invalid("documents", "", "Either 'documents' or 'texts' can be given, not both.")
	case n > maxDocuments:
		return invalid("documents", "array_above_max_length", "Invalid 'documents': array too long. Expected an array with maximum length %d, but got an array with length %d instead.", maxDocuments, n)
	case q.TopN != nil && *q.TopN < 1:
		return invalid("top_n", "integer_below_min_value", "Invalid 'top_n': expected a value >= 1, but got %d instead.", *q.TopN)
	}
	return nil
}

// rerank serves POST /v1/rerank, /v2/rerank and /rerank.
func (s *Server) rerank(w http.ResponseWriter, r *http.Request) {
	var q rerankRequest
	err := s.decode(w, r, &q)
	if err == nil {
		err = q.check()
	}
	if err != nil {
		writeError(w, err)
		return
	}
	texts := q.Texts
	for _, d := range q.Documents {
		texts = append(texts, d.Text)
	}
	load := s.workloadOf("rerank", q.Model, texts)
	tokens := load.prompt + s.cfg.CountTokens(q.Query)*len(texts)
	load.prompt = tokens
	v, ok := s.enter(w, r, load)
	if !ok {
		return
	}
	defer v.done(usage{PromptTokens: tokens, TotalTokens: tokens})
	order := ranked(q.Query, texts)
	if q.Texts != nil {
		writeJSON(w, http.StatusOK, q.teiAnswer(order))
		return
	}
	if q.TopN != nil {
		order = order[:min(*q.TopN, len(order))]
	}
	writeJSON(w, http.StatusOK, q.answer(order, tokens))
}

// workloadOf is what a request about texts wants.
func (s *Server) workloadOf(endpoint, model string, texts []string) workload {
	load := workload{endpoint: endpoint, model: model}
	for _, text := range texts {
		load.prompt += s.cfg.CountTokens(text)
		load.chars += utf8.RuneCountInString(text)
	}
	return load
}

// scored is a document with its logit.
type scored struct {
	index int
	text  string
	logit float64
}

// answer is the shape of Jina, Cohere and vLLM.
func (q *rerankRequest) answer(order []scored, tokens int) any {
	type result struct {
		Index          int             `json:"index"`
		RelevanceScore float64         `json:"relevance_score"`
		Document       *rerankDocument `json:"document,omitempty"`
	}
	results := make([]result, len(order))
	for i, d := range order {
		results[i] = result{Index: d.index, RelevanceScore: sigmoid(d.logit)}
		if q.ReturnDocuments {
			results[i].Document = &rerankDocument{Text: d.text}
		}
	}
	id := requestHash(&chatRequest{Model: q.Model, Messages: []message{{Role: roleUser, Content: content{q.Query}}}})
	return map[string]any{"id": "rerank-" + id, "model": q.Model, "usage": map[string]int{"total_tokens": tokens}, "results": results}
}

// teiAnswer is the shape of Text Embeddings Inference.
func (q *rerankRequest) teiAnswer(order []scored) any {
	type result struct {
		Index int     `json:"index"`
		Score float64 `json:"score"`
		Text  *string `json:"text,omitempty"`
	}
	results := make([]result, len(order))
	for i, d := range order {
		results[i] = result{Index: d.index, Score: sigmoid(d.logit)}
		if q.RawScores {
			results[i].Score = d.logit
		}
		if q.ReturnText {
			results[i].Text = &d.text
		}
	}
	return results
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// ranked scores texts against query by BM25 over the static word weights and
// sorts them, best first.
func ranked(query string, texts []string) []scored {
	terms := questionTerms(query)
	counts := make([]map[string]int, len(texts))
	lengths := make([]float64, len(texts))
	mean := 0.0
	for i, text := range texts {
		counts[i] = map[string]int{}
		eachWord(text, func(w wordAt) {
			counts[i][w.stem]++
			lengths[i]++
		})
		mean += lengths[i] / float64(len(texts))
	}
	total := 0.0
	for i := range terms {
		df := 0.5
		for _, c := range counts {
			if c[terms[i].stem] > 0 {
				df++
			}
		}
		terms[i].weight *= math.Log(1 + (float64(len(texts))+1)/df)
		total += terms[i].weight * (bm25K + 1)
	}
	out := make([]scored, len(texts))
	for i, text := range texts {
		sum := 0.0
		for _, t := range terms {
			tf := float64(counts[i][t.stem])
			sum += t.weight * tf * (bm25K + 1) / (tf + bm25K*(1-bm25B+bm25B*lengths[i]/max(mean, 1)))
		}
		share := 0.0
		if total > 0 {
			// A word that occurs once in a text of mean length has 1/(bm25K+1).
			share = sum / total * (bm25K + 1) / 2
		}
		out[i] = scored{index: i, text: text, logit: logitSlope * (share - logitAt)}
	}
	slices.SortStableFunc(out, func(a, b scored) int { return cmp.Compare(b.logit, a.logit) })
	return out
}
