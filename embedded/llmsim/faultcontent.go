package llmsim

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// refusalText is what a refused answer says.
const refusalText = "I'm sorry, but I can't assist with that request."

// spoilt is the completion as the call's fault has it. What was used stays.
func (c *call) spoilt(out completion) completion {
	a := c.action
	if a == nil {
		return out
	}
	if a.WrongModel != "" {
		out.model = a.WrongModel
	}
	if a.WrongUsage > 0 {
		times := func(n int) int { return int(float64(n) * a.WrongUsage) }
		out.usage.PromptTokens, out.usage.CompletionTokens = times(out.usage.PromptTokens), times(out.usage.CompletionTokens)
		out.usage.TotalTokens = out.usage.PromptTokens + out.usage.CompletionTokens
	}
	if a.Content == contentNoChoices {
		out.choices = nil
	}
	out.choices = slices.Clone(out.choices)
	for i := range out.choices {
		spoilChoice(&out.choices[i], a)
	}
	return out
}

// spoilChoice changes one answer.
func spoilChoice(c *choice, a *Action) {
	switch a.Content {
	case contentRefusal:
		*c = choice{refusal: refusalText, finishReason: finishStop, tokens: c.tokens}
	case contentFilter:
		*c = choice{text: half(c.text), finishReason: "content_filter", tokens: c.tokens}
	case contentInvalid:
		c.text = strings.TrimRight(c.text, "}] \n") + ",,"
	case contentFenced:
		c.text = "Here is the JSON:\n```json\n" + c.text + "\n```"
	case contentCut:
		c.text, c.finishReason = half(c.text), finishLength
	case contentSchema:
		c.text = violated(c.text, a.Field)
	}
}

// half is the first half of a text, at a whole character.
func half(text string) string {
	runes := []rune(text)
	return string(runes[:len(runes)/2])
}

// violated is a JSON object with a value of the wrong type in a field, or in
// the first by name.
func violated(text, field string) string {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil || len(object) == 0 {
		return text
	}
	if _, ok := object[field]; !ok {
		field = slices.Sorted(maps.Keys(object))[0]
	}
	object[field] = json.RawMessage(`{"unexpected":[true]}`)
	out, err := json.Marshal(object)
	if err != nil {
		return text
	}
	return string(out)
}
