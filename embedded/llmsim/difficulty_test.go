package llmsim

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"testing"
)

// askedOf is a question to a model and what came of it.
type askedOf struct {
	right      bool
	logprob    float64 // mean per token
	confidence float64
}

// cascade returns a server with n gold questions and models of three skills.
func cascade(t *testing.T, n int, seed uint64, d Difficulty) *Server {
	t.Helper()
	return setup(t, func(c *Config) {
		c.ChatModels = []string{"small", "large", "perfect"}
		c.Answers.Seed = seed
		c.Answers.Difficulty = &d
		for i := range n {
			c.Answers.Gold = append(c.Answers.Gold, Gold{Question: fmt.Sprintf("What is item number %d?", i), Answer: fmt.Sprintf("It is thing %d of the list", i)})
		}
	})
}

// askAll asks all gold questions of one model.
func askAll(t *testing.T, s *Server, model string) []askedOf {
	t.Helper()
	var out []askedOf
	for _, g := range s.cfg.Answers.Gold {
		body := fmt.Sprintf(`{"model":%q,"logprobs":true,"messages":[{"role":"system","content":"End with Confidence: and a number."},{"role":"user","content":%q}]}`, model, g.Question)
		got := chatAs(t, s, body)
		text, sure, ok := strings.Cut(*got.Choices[0].Message.Content, "\nConfidence: ")
		one := askedOf{right: text == g.Answer}
		if _, err := fmt.Sscan(sure, &one.confidence); err != nil || !ok {
			t.Fatalf("no confidence in %q", *got.Choices[0].Message.Content)
		}
		for _, l := range got.Choices[0].Logprobs.Content {
			one.logprob += l.Logprob / float64(len(got.Choices[0].Logprobs.Content))
		}
		if n := len(got.Choices[0].Logprobs.Content); n != got.Usage.CompletionTokens || !(one.logprob < 0) {
			t.Fatalf("%d logprobs of %d tokens, mean %v", n, got.Usage.CompletionTokens, one.logprob)
		}
		out = append(out, one)
	}
	return out
}

// accuracy is the share of right answers.
func accuracy(asked []askedOf) float64 {
	n := 0.0
	for _, a := range asked {
		if a.right {
			n++
		}
	}
	return n / float64(len(asked))
}

// auroc is the chance that a right answer has a higher score than a wrong one,
// ties counted half (the Mann-Whitney statistic).
func auroc(asked []askedOf, score func(askedOf) float64) float64 {
	sorted := slices.Clone(asked)
	sort.Slice(sorted, func(i, j int) bool { return score(sorted[i]) < score(sorted[j]) })
	rankSum, rights := 0.0, 0.0
	for i := 0; i < len(sorted); {
		j := i
		for j < len(sorted) && score(sorted[j]) == score(sorted[i]) {
			j++
		}
		for _, a := range sorted[i:j] {
			if a.right {
				rankSum += float64(i+j+1) / 2
				rights++
			}
		}
		i = j
	}
	wrongs := float64(len(sorted)) - rights
	return (rankSum - rights*(rights+1)/2) / (rights * wrongs)
}

func TestAccuracyAndAUROCAreAsConfigured(t *testing.T) {
	t.Parallel()
	d := Difficulty{Skill: map[string]float64{"small": 0.45, "large": 0.85}}
	s := cascade(t, 2000, 0, d)
	small, large := askAll(t, s, "small"), askAll(t, s, "large")
	for model, asked := range map[string][]askedOf{"small": small, "large": large} {
		got, want := accuracy(asked), d.Accuracy(model)
		byLogprob := auroc(asked, func(a askedOf) float64 { return a.logprob })
		byConfidence := auroc(asked, func(a askedOf) float64 { return a.confidence })
		t.Logf("%s: accuracy %.4f, formula %.4f; AUROC of log probabilities %.4f, of confidence %.4f", model, got, want, byLogprob, byConfidence)
		if math.Abs(got-want) > 0.015 {
			t.Errorf("%s: accuracy %.4f, want %.4f within 0.015", model, got, want)
		}
		if math.Abs(byLogprob-defaultAUROC) > 0.02 || math.Abs(byConfidence-defaultAUROC) > 0.02 {
			t.Errorf("%s: AUROC %.4f and %.4f, want %.2f within 0.02", model, byLogprob, byConfidence, defaultAUROC)
		}
	}
	for i := range small {
		if small[i].right && !large[i].right {
			t.Fatalf("question %d: the small model is right where the large one errs", i)
		}
	}
}

func TestLogprobModelOverManyDraws(t *testing.T) {
	t.Parallel()
	for _, want := range []float64{0.5, 0.6, 0.85, 0.99} {
		d := Difficulty{AUROC: want}
		k := newKnowledge(Answers{})
		var asked []askedOf
		for i := range 20_000 {
			right := i%2 == 0
			asked = append(asked, askedOf{right: right, logprob: d.meanLogprob(right, k.random("draw", fmt.Sprint(i)))})
		}
		if got := auroc(asked, func(a askedOf) float64 { return a.logprob }); math.Abs(got-want) > 0.01 {
			t.Errorf("AUROC %.4f, want %.2f", got, want)
		}
	}
}

func TestAccuracyOverSeeds(t *testing.T) {
	t.Parallel()
	d := Difficulty{Skill: map[string]float64{"m": 0.6}, Slope: 12}
	right, n := 0.0, 0.0
	for seed := range uint64(10) {
		k := newKnowledge(Answers{Seed: seed, Difficulty: &d})
		for i := range 5000 {
			if k.knows("m", fmt.Sprintf("Question %d", i), "") {
				right++
			}
			n++
		}
	}
	if got, want := right/n, d.Accuracy("m"); math.Abs(got-want) > 0.005 {
		t.Errorf("accuracy %.4f, want %.4f within 0.005", got, want)
	}
}

func TestDifficultyOfGold(t *testing.T) {
	t.Parallel()
	easy, hard := 0.0, 1.0
	s := setup(t, func(c *Config) {
		c.Answers.Difficulty = &Difficulty{Skill: map[string]float64{"sim-small": 0.5}, Slope: 200}
		c.Answers.Gold = []Gold{{Question: "Easy?", Answer: "yes", Wrong: []string{"no"}, Difficulty: &easy}, {Question: "Hard?", Answer: "yes", Wrong: []string{"no"}, Difficulty: &hard}}
	})
	for question, want := range map[string]string{
		"Easy?": "yes", " easy ": "yes", "HARD": "no",
		`<source id=\"1\" source=\"a\">The answer is yes.</source>Question: Easy?`: "yes [1]",
	} {
		got := chatAs(t, s, `{"model":"sim-small","messages":[{"role":"user","content":"`+question+`"}]}`)
		if text := *got.Choices[0].Message.Content; text != want {
			t.Errorf("%s: got %q, want %q", question, text, want)
		}
	}
	enum := withSchema(object(`"answer":{"enum":["yes","no"]}`), "Hard?", false)
	if got := chatAs(t, s, enum); *got.Choices[0].Message.Content != `{"answer":"no"}` {
		t.Errorf("got %s, want the wrong value of the enum", *got.Choices[0].Message.Content)
	}
}

func TestWrongAnswerIsAnotherSentenceOfTheContext(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	const ask = `"messages":[{"role":"user","content":"<source id=\"1\" source=\"a\">The demo listens on port 8080. It has three workers. The disk is small.</source>Question: Which port does the demo listen on?"}]}`
	right := *chatAs(t, s, `{"model":"sim-small",`+ask).Choices[0].Message.Content
	wrong := *chatAs(t, s, `{"model":"sim-small","metadata":{"sim":"mode=wrong"},`+ask).Choices[0].Message.Content
	if right != "The demo listens on port 8080. [1]" || wrong != "It has three workers. [1]" && wrong != "The disk is small. [1]" {
		t.Errorf("right %q, wrong %q", right, wrong)
	}
}

func TestChoicesAreDrawnAnew(t *testing.T) {
	t.Parallel()
	s := cascade(t, 50, 3, Difficulty{Skill: map[string]float64{"small": 0.5}})
	differ := 0
	for _, g := range s.cfg.Answers.Gold {
		for temperature, fixed := range map[string]bool{"0": true, "1": false} {
			got := chatAs(t, s, fmt.Sprintf(`{"model":"small","n":8,"temperature":%s,"messages":[{"role":"user","content":%q}]}`, temperature, g.Question))
			rights := 0
			for _, c := range got.Choices {
				if *c.Message.Content == g.Answer {
					rights++
				}
			}
			mixed := rights != 0 && rights != len(got.Choices)
			if fixed && mixed {
				t.Fatalf("temperature 0 gives %d right of %d", rights, len(got.Choices))
			}
			if mixed {
				differ++
			}
		}
	}
	if differ < 15 {
		t.Errorf("the choices of %d of 50 questions differ, want at least 15", differ)
	}
}

func TestTopLogprobs(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	got := chatAs(t, s, `{"model":"sim-small","logprobs":true,"top_logprobs":20,"messages":[{"role":"user","content":"Grüße 日本 👍🏽 one two"}]}`)
	text := ""
	for _, l := range got.Choices[0].Logprobs.Content {
		for _, b := range l.Bytes {
			text += string([]byte{byte(b)})
		}
		sum, own := 0.0, false
		for i, alt := range l.TopLogprobs {
			sum += math.Exp(alt.Logprob)
			own = own || alt.Token == l.Token && alt.Logprob == l.Logprob
			if i > 0 && alt.Logprob > l.TopLogprobs[i-1].Logprob {
				t.Errorf("alternatives of %q are not sorted", l.Token)
			}
		}
		if len(l.TopLogprobs) != 20 || !own || sum > 1+1e-9 {
			t.Errorf("%d alternatives of %q with probability %v", len(l.TopLogprobs), l.Token, sum)
		}
	}
	if text != *got.Choices[0].Message.Content {
		t.Errorf("the tokens are %q, want %q", text, *got.Choices[0].Message.Content)
	}
}

func TestReadGold(t *testing.T) {
	t.Parallel()
	got, err := ReadGold(strings.NewReader("{\"question\":\"A?\",\"answer\":\"b\",\"difficulty\":0.5}\n\n{\"question\":\"C?\",\"answer\":\"d\",\"wrong\":[\"e\"]}\n"))
	if data, _ := json.Marshal(got); err != nil || string(data) != `[{"question":"A?","answer":"b","difficulty":0.5},{"question":"C?","answer":"d","wrong":["e"]}]` {
		t.Errorf("got %s, %v", data, err)
	}
	for line, want := range map[string]string{
		`{`: "line 1", `{"question":"?","answer":"x"}`: "at least one word", `{"question":"a","answer":""}`: "empty",
		`{"question":"a","answer":"b","wrong":["b"]}`: "other texts", `{"question":"a","answer":"b","difficulty":2}`: "0 to 1",
	} {
		if _, err := ReadGold(strings.NewReader(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", line, err, want)
		}
	}
}
