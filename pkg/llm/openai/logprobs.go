package openai

import (
	"encoding/json"

	"github.com/weir-dev/weir/pkg/llm"
)

const (
	// topLogprobs is how many of the likeliest tokens are asked for: the one that
	// was taken, as a rule, and its best alternative.
	topLogprobs = 2
	// maxLogprobs bounds the tokens kept of one answer.
	maxLogprobs = 1 << 20
)

// tokenLogprob is a token as choices[].logprobs.content lists it. A null or a text
// in place of a number, as some servers write, leaves a token out.
type tokenLogprob struct {
	Token   *string  `json:"token"`
	Logprob *float64 `json:"logprob"`
	Top     []struct {
		Token   *string  `json:"token"`
		Logprob *float64 `json:"logprob"`
	} `json:"top_logprobs"`
}

// appendLogprobs appends the tokens of an event's first choice, without those of
// its reasoning, which is no part of the answer. What has another form than
// OpenAI's adds nothing.
func appendLogprobs(list []llm.TokenLogprob, data []byte) []llm.TokenLogprob {
	var chunk struct {
		Choices []struct {
			Index int `json:"index"`
			Delta struct {
				Reasoning        json.RawMessage `json:"reasoning"`
				ReasoningContent json.RawMessage `json:"reasoning_content"`
			} `json:"delta"`
			Logprobs struct {
				Content []json.RawMessage `json:"content"`
			} `json:"logprobs"`
		} `json:"choices"`
	}
	if json.Unmarshal(data, &chunk) != nil {
		return list
	}
	for _, choice := range chunk.Choices {
		if choice.Index != 0 || holdsText(choice.Delta.Reasoning) || holdsText(choice.Delta.ReasoningContent) {
			continue
		}
		for _, raw := range choice.Logprobs.Content {
			if token, ok := readLogprob(raw); ok && len(list) < maxLogprobs {
				list = append(list, token)
			}
		}
	}
	return list
}

// holdsText reports whether a field is there with something in it.
func holdsText(raw json.RawMessage) bool {
	return len(raw) > 0 && string(raw) != "null" && string(raw) != `""`
}

// readLogprob reads one token.
func readLogprob(raw json.RawMessage) (llm.TokenLogprob, bool) {
	var t tokenLogprob
	if json.Unmarshal(raw, &t) != nil || t.Logprob == nil || t.Token == nil {
		return llm.TokenLogprob{}, false
	}
	out := llm.TokenLogprob{Logprob: *t.Logprob}
	taken := false
	for _, other := range t.Top {
		switch {
		case other.Logprob == nil:
		case !taken && other.Token != nil && *other.Token == *t.Token:
			taken = true // itself, once: two tokens may show the same text
		default:
			out.Others = append(out.Others, *other.Logprob)
		}
	}
	return out, true
}
