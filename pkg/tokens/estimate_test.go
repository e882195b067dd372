package tokens_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tokens"
)

func openAI() tokens.Overhead { return tokens.Overhead{PerMessage: 3, PerName: 1, Reply: 3} }

// TestChatCookbook has the example and the figures of OpenAI's cookbook on
// counting tokens.
func TestChatCookbook(t *testing.T) {
	t.Parallel()
	messages := []struct{ role, name, content string }{
		{"system", "", "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
		{"system", "example_user", "New synergies will help drive top-line growth."},
		{"system", "example_assistant", "Things working well together will increase revenue."},
		{"system", "example_user", "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
		{"system", "example_assistant", "Let's talk later when we're less busy about how to do better."},
		{"user", "", "This late pivot means we don't have time to boil the ocean for the client deliverable."},
	}
	for encoding, want := range map[string]int{tokens.Cl100kBase: 129, tokens.O200kBase: 124} {
		c := newCounter(t, encoding)
		got := openAI().Reply
		for _, m := range messages {
			got += c.Message(openAI(), m.role, m.name, m.content)
		}
		if got != want {
			t.Errorf("%s: %d tokens, the cookbook says %d", encoding, got, want)
		}
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	c := newCounter(t, tokens.O200kBase)
	messages := []event.Message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: "héllo 漢"}}
	if c.Chat(openAI(), nil) != 3 {
		t.Errorf("an empty chat has %d tokens, want the reply's 3", c.Chat(openAI(), nil))
	}
	want := tokens.Size{Bytes: 9 + 10, Chars: 9 + 7,
		Tokens: 3 + 2*(3+1) + c.Count("Be brief.") + c.Count("héllo 漢")}
	if got := c.Measure(openAI(), messages); got != want {
		t.Errorf("Measure = %+v, want %+v", got, want)
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		estimator string
		size      tokens.Size
		max, want int
	}{
		// Captured from OpenAI: 21 characters with 512, 20 without a bound.
		{tokens.Chars4PlusMax, tokens.Size{Chars: 21, Bytes: 99, Tokens: 99}, 512, 519},
		{tokens.Chars4PlusMax, tokens.Size{Chars: 20}, 0, 7},
		{tokens.TokensPlusMax, tokens.Size{Chars: 99, Bytes: 99, Tokens: 10}, 5, 15},
		{tokens.TokensInput, tokens.Size{Chars: 99, Bytes: 99, Tokens: 10}, 5, 10},
		{tokens.Bytes4, tokens.Size{Chars: 99, Bytes: 9, Tokens: 99}, 5, 3},
		{tokens.NoTokens, tokens.Size{Chars: 99, Bytes: 99, Tokens: 99}, 5, 0},
	}
	for _, tt := range tests {
		got, err := tokens.Estimate(tt.estimator, tt.size, tt.max)
		if err != nil || got != tt.want {
			t.Errorf("Estimate(%s, %+v, %d) = %d, %v, want %d", tt.estimator, tt.size, tt.max, got, err, tt.want)
		}
	}
	_, err := tokens.Estimate("chars3", tokens.Size{}, 0)
	var e *event.Error
	if !errors.As(err, &e) || e.Class != event.ClassInvalid || e.Field != "estimator" || !strings.Contains(e.Hint, tokens.Bytes4) {
		t.Errorf("Estimate(chars3) error = %v, want an invalid estimator with the names", err)
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	code := "func run(ctx context.Context) error {\n\tfor i := range 10 {\n\t\tif err := step(ctx, i); err != nil {\n\t\t\treturn err\n\t\t}\n\t}\n\treturn nil\n}\n"
	tests := []struct {
		name, text string
		want       tokens.Kind
	}{
		{"english", "The quick brown fox (a clever one) jumps over the lazy dog; it's 9 o'clock.", tokens.KindProse},
		{"german", "Über allen Gipfeln ist Ruh, in allen Wipfeln spürest du kaum einen Hauch.", tokens.KindProse},
		{"markdown", "[Weir](https://example.org) holds jobs in a queue until the provider has room for them, so none fails.", tokens.KindProse},
		{"go", code, tokens.KindCode},
		{"python", "def f(x):\n    return [y**2 for y in range(x) if y_ok[y] == 1]\n\nprint(f(10))\n", tokens.KindCode},
		{"long code", strings.Repeat(code, 200), tokens.KindCode},
		{"json", `  {"id": "a1", "values": [1, 2, 3], "text": "some words of a value"}`, tokens.KindJSON},
		{"array", "[1,2,3,4,5,6,7]", tokens.KindJSON},
		{"japanese", "吾輩は猫である。名前はまだ無い。", tokens.KindCJK},
		{"korean", "모든 인간은 태어날 때부터 자유로우며", tokens.KindCJK},
		{"chinese with names", "他们在 Kubernetes 上部署 NATS 服务器。", tokens.KindCJK},
		{"russian", "Все счастливые семьи похожи друг на друга.", tokens.KindOther},
		{"numbers", "12.5 13.7 14.9\n15.1 16.3 17.5", tokens.KindOther},
		{"blank", " \n\t", tokens.KindOther},
		{"empty", "", tokens.KindOther},
		{"invalid", "\xff\xfe", tokens.KindOther},
	}
	for _, tt := range tests {
		if got := tokens.KindOf(tt.text); got != tt.want {
			t.Errorf("%s: KindOf = %s, want %s", tt.name, got, tt.want)
		}
	}
	messages := []event.Message{{Content: "Explain this code."}, {Content: code}}
	if got := tokens.ChatKind(messages); got != tokens.KindCode {
		t.Errorf("ChatKind = %s, want that of the longest message", got)
	}
}
