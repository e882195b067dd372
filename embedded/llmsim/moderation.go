package llmsim

import (
	"math"
	"net/http"
	"strings"
)

const (
	defaultModeration = "omni-moderation-latest"
	// flaggedFrom is the score from which a category is flagged; each listed
	// word takes missShare off what is left to 1.
	flaggedFrom = 0.5
	missShare   = 0.3
	// cleanScore bounds the score of a text without listed words.
	cleanScore = 0.01
)

// flaggedWords are the words of each category, stemmed when they are compared.
var flaggedWords = map[string]string{ //nolint:gochecknoglobals // a table, never written
	"harassment":             "idiot moron loser worthless stupid",
	"harassment/threatening": "threaten intimidate stalk",
	"hate":                   "subhuman vermin inferior",
	"hate/threatening":       "exterminate genocide",
	"illicit":                "counterfeit launder cocaine heroin",
	"illicit/violent":        "bomb explosive grenade",
	"self-harm":              "suicide suicidal",
	"self-harm/intent":       "suicidal",
	"self-harm/instructions": "noose",
	"sexual":                 "porn pornography erotic nude",
	"sexual/minors":          "pedophile pedophilia",
	"violence":               "kill murder stab shoot massacre",
	"violence/graphic":       "gore dismember decapitate mutilate",
}

// moderationInput is a text, texts or parts.
type moderationInput struct {
	list []string
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *moderationInput) UnmarshalJSON(data []byte) error {
	var texts stringOrList
	if texts.UnmarshalJSON(data) == nil {
		m.list = texts.list
		return nil
	}
	var parts content
	if err := parts.UnmarshalJSON(data); err != nil {
		return invalid("input", "invalid_type", "Invalid type for 'input': expected a string, an array of strings or an array of text parts.")
	}
	m.list = []string{parts.text}
	return nil
}

// moderationResult is what is said about one text.
type moderationResult struct {
	Flagged    bool                `json:"flagged"`
	Categories map[string]bool     `json:"categories"`
	Scores     map[string]float64  `json:"category_scores"`
	Types      map[string][]string `json:"category_applied_input_types"`
}

// moderations serves POST /v1/moderations.
func (s *Server) moderations(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Model string          `json:"model"`
		Input moderationInput `json:"input"`
	}
	err := s.decode(w, r, &q)
	if err == nil && len(q.Input.list) == 0 {
		err = invalid("input", "missing_required_parameter", "Missing required parameter: 'input'.")
	}
	if err != nil {
		writeError(w, err)
		return
	}
	if q.Model == "" {
		q.Model = defaultModeration
	}
	load := s.workloadOf("moderations", q.Model, q.Input.list)
	v, ok := s.enter(w, r, load)
	if !ok {
		return
	}
	defer v.done(usage{PromptTokens: load.prompt, TotalTokens: load.prompt})
	results := make([]moderationResult, len(q.Input.list))
	for i, text := range q.Input.list {
		results[i] = s.moderate(text)
	}
	id := requestHash(&chatRequest{Model: q.Model, Messages: []message{{Role: roleUser, Content: content{strings.Join(q.Input.list, "\x00")}}}})
	writeJSON(w, http.StatusOK, map[string]any{"id": "modr-" + id, "model": q.Model, "results": results})
}

// moderate scores a text by the word lists.
func (s *Server) moderate(text string) moderationResult {
	out := moderationResult{Categories: map[string]bool{}, Scores: map[string]float64{}, Types: map[string][]string{}}
	words := map[string]int{}
	eachWord(text, func(w wordAt) { words[w.stem]++ })
	for category, list := range flaggedWords {
		hits := 0
		for _, word := range strings.Fields(list) {
			hits += words[string(stem([]byte(word)))]
		}
		score := cleanScore * s.known.random("moderation", category, text).Float64()
		if hits > 0 {
			score = 1 - math.Pow(missShare, float64(hits))
		}
		out.Scores[category], out.Categories[category] = score, score >= flaggedFrom
		out.Types[category] = []string{"text"}
		out.Flagged = out.Flagged || out.Categories[category]
	}
	return out
}
