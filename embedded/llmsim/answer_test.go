package llmsim

import (
	"strings"
	"testing"
)

var projectBlocks = []block{
	{id: "1", source: "README.md", section: "Weir > What it does", text: `# Weir

Weir is a pipeline for **LLM inference** on [NATS](https://nats.io) and Qdrant.
It ingests documents, embeds their chunks and answers questions with citations.`},
	{id: "2", source: "docs/reliability.md", section: "Reliability > Jobs", text: `## Jobs

A job is kept in a durable JetStream stream and is acknowledged only after its result is stored, so no job is lost when a worker crashes. An unacknowledged job is delivered again.[3]

- **Retries**: a failed job waits twice as long each time.
- Dead letters keep a job that failed 5 times.

| Setting | Default |
|---|---|
| max_deliver | 5 attempts |`},
	{id: "3", source: "docs/quickstart.md", section: "Quick start", text: `Run the demo with one command. It listens on port 8080 by default.

` + "```sh\nweir demo\n```\n" + `
The capital cost of a small machine is enough for the demo.`},
}

func TestAnswerFromBlocks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		question string
		want     string // part of the answer; unknownAnswer for exactly that
	}{
		{"How does Weir keep a job from being lost?", "acknowledged only after its result is stored, so no job is lost when a worker crashes. [2]"},
		{"What is Weir?", "Weir is a pipeline for LLM inference on NATS and Qdrant. [1]"},
		{"Which port does the demo listen on?", "It listens on port 8080 by default. [3]"},
		{"What happens to a job that failed 5 times?", "Dead letters keep a job that failed 5 times. [2]"},
		{"what is the default of max_deliver?", "max_deliver, 5 attempts [2]"},
		{"What is the capital of Mongolia?", unknownAnswer},
		{"Who won the football world cup in 2014?", unknownAnswer},
		{"How do I bake bread?", unknownAnswer},
		{"Why?", unknownAnswer},
		{"", unknownAnswer},
	} {
		t.Run(tc.question, func(t *testing.T) {
			t.Parallel()
			got := answerFromBlocks(projectBlocks, tc.question)
			if tc.want == unknownAnswer && got != unknownAnswer || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if strings.Contains(got, "**") || strings.Contains(got, "[3]") && strings.Contains(got, "again.[3]") {
				t.Errorf("markup left in %q", got)
			}
		})
	}
}

func TestAnswerInOtherScripts(t *testing.T) {
	t.Parallel()
	blocks := []block{
		{id: "1", text: "東京は日本の首都である。人口は約1400万人である。"},
		{id: "2", text: "Die Wartung der Anlage übernimmt die Stadt. Sie kostet 300 Euro im Jahr."},
	}
	for question, want := range map[string]string{
		"日本の首都はどこですか？":                          "東京は日本の首都である。 [1]",
		"Wer übernimmt die Wartung der Anlage?": "Die Wartung der Anlage übernimmt die Stadt. [2]",
	} {
		if got := answerFromBlocks(blocks, question); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", question, got, want)
		}
	}
}

func TestParsePrompt(t *testing.T) {
	t.Parallel()
	user := func(text string) message { return message{Role: roleUser, Content: content{text}} }
	withBlock := "Answer from the sources.\n" +
		`<source id="7" source="docs/a.md" section="A > B &amp; C">if a &lt; b &amp;amp; c: &lt;/source&gt; stays</source>` +
		"\nQuestion: Is a &lt; b?\nReally?"
	for _, tc := range []struct {
		name     string
		messages []message
		blocks   []block
		question string
	}{
		{"blocks", []message{{Role: "system", Content: content{"x"}}, user(withBlock)},
			[]block{{id: "7", source: "docs/a.md", section: "A > B & C", text: "if a < b &amp; c: </source> stays"}}, "Is a < b?\nReally?"},
		{"follow-up without blocks", []message{user(withBlock), {Role: "assistant", Content: content{"Yes."}}, user("Why?")},
			[]block{{id: "7", source: "docs/a.md", section: "A > B & C", text: "if a < b &amp; c: </source> stays"}}, "Why?"},
		{"plain", []message{user("Hello there")}, nil, "Hello there"},
		{"no user", []message{{Role: "system", Content: content{"x"}}}, nil, ""},
		{"unclosed", []message{user(`<source id="1">abc`)}, nil, `<source id="1">abc`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			blocks, question := parsePrompt(tc.messages)
			if question != tc.question {
				t.Errorf("question %q, want %q", question, tc.question)
			}
			if len(blocks) != len(tc.blocks) {
				t.Fatalf("blocks %+v, want %+v", blocks, tc.blocks)
			}
			for i := range blocks {
				if blocks[i] != tc.blocks[i] {
					t.Errorf("block %+v, want %+v", blocks[i], tc.blocks[i])
				}
			}
		})
	}
}

func TestSplitSentences(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, want string }{
		{"One. Two! Three?", "One.|Two!|Three?"},
		{"Dr. Smith met J. R. Doe. He left.", "Dr. Smith met J. R. Doe.|He left."},
		{"It is 3.5 m, i.e. short. \"Yes.\" He said so.", "It is 3.5 m, i.e. short.|\"Yes.\"|He said so."},
		{"e.g. this one stays", "e.g. this one stays"},
		{"一。二！", "一。|二！"},
		{"", ""},
	} {
		if got := strings.Join(splitSentences(tc.text), "|"); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.text, got, tc.want)
		}
	}
}

func TestSentencesOfMarkdown(t *testing.T) {
	t.Parallel()
	got := sentencesOf("# Head **one**\nLine one\ncontinues [here](http://x).\n> Quoted text.\n\n1. First item\n2. Second\n\n| a | b |\n|---|---|\n| 1 | 2 |\n```\ncode\n```\n<b>Bold</b> end.", 4)
	want := []string{"Line one continues here.", "Quoted text.", "First item", "Second", "a, b", "1, 2", "Bold end."}
	if len(got) != len(want) {
		t.Fatalf("got %+v, want %q", got, want)
	}
	for i, s := range got {
		if s.text != want[i] || s.block != 4 || s.heading != "Head one" {
			t.Errorf("sentence %d is %+v, want %q", i, s, want[i])
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add("A job is kept. It stays.", "What is kept?")
	f.Add("日本。\x00\xff", "'s ’s")
	f.Add("| a | b |\n|-", "Who? "+strings.Repeat("a", 200))
	f.Fuzz(func(t *testing.T, text, question string) {
		got := answerFromBlocks([]block{{id: "1", text: text}}, question)
		if got != unknownAnswer && !strings.HasSuffix(got, " [1]") {
			t.Errorf("answer %q has no marker at its end", got)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		answerFromBlocks(projectBlocks, "How does Weir keep a job from being lost?")
	}
}
