package tokens

import (
	"fmt"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/event"
)

// The estimators [Estimate] knows: how providers count a request before it runs.
const (
	// Chars4PlusMax is floor(characters/4)+2+max_tokens: OpenAI's and Azure's
	// law, found from captured responses.
	Chars4PlusMax = "chars4_plus_max"
	// TokensPlusMax is the prompt's tokens + max_tokens (Cerebras).
	TokensPlusMax = "tokens_plus_max"
	// TokensInput is the prompt's tokens (Anthropic, Gemini).
	TokensInput = "tokens_input"
	// Bytes4 is bytes/4 rounded up, the flattest rough figure over languages.
	Bytes4 = "bytes4"
	// NoTokens is 0: the provider limits no tokens.
	NoTokens = "none"
)

// Size is how large a prompt is in what providers count.
type Size struct {
	Bytes, Chars int // of the contents; a character is a Unicode code point
	Tokens       int // with the overhead of the chat
}

// Estimate returns what a provider with the given estimator books for a request
// of the given size; maxTokens is the request's bound on the answer, 0 for none.
func Estimate(estimator string, s Size, maxTokens int) (int, error) {
	switch estimator {
	case Chars4PlusMax:
		return s.Chars/4 + 2 + maxTokens, nil
	case TokensPlusMax:
		return s.Tokens + maxTokens, nil
	case TokensInput:
		return s.Tokens, nil
	case Bytes4:
		return (s.Bytes + 3) / 4, nil
	case NoTokens:
		return 0, nil
	}
	return 0, event.Invalid("estimator", fmt.Sprintf("use %s, %s, %s, %s or %s", Chars4PlusMax, TokensPlusMax, TokensInput, Bytes4, NoTokens),
		"unknown estimator %q", estimator)
}

// Overhead is what the form of a chat adds to the tokens of its texts. OpenAI's
// cookbook gives 3 per message, 1 per name and 3 for the reply.
type Overhead struct{ PerMessage, PerName, Reply int }

// Message returns the tokens of one message: its texts and the overhead. name
// is the author's, "" for none.
func (c *Counter) Message(o Overhead, role, name, content string) int {
	n := o.PerMessage + c.Count(role) + c.Count(content)
	if name != "" {
		n += o.PerName + c.Count(name)
	}
	return n
}

// Chat returns the tokens of a prompt of messages, the overhead included.
func (c *Counter) Chat(o Overhead, messages []event.Message) int {
	n := o.Reply
	for _, m := range messages {
		n += c.Message(o, m.Role, "", m.Content)
	}
	return n
}

// Measure returns the size of a prompt of messages.
func (c *Counter) Measure(o Overhead, messages []event.Message) Size {
	s := Size{Tokens: c.Chat(o, messages)}
	for _, m := range messages {
		s.Bytes += len(m.Content)
		s.Chars += utf8.RuneCountInString(m.Content)
	}
	return s
}
