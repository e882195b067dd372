package llmsim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// maxGoldLine bounds one line of a gold file.
const maxGoldLine = 1 << 20

// Gold is a question whose answer is known.
type Gold struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
	// Wrong are answers for a model that errs; without any it gives the answer
	// to another question.
	Wrong []string `json:"wrong,omitempty"`
	// Difficulty in [0,1]; nil is a hash of the question.
	Difficulty *float64 `json:"difficulty,omitempty"`
}

// ReadGold reads known answers, one JSON object a line.
func ReadGold(r io.Reader) ([]Gold, error) {
	var out []Gold
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxGoldLine)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var g Gold
		if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
			return nil, fmt.Errorf("reading gold answers, line %d: %w", n, err)
		}
		if err := g.validate(); err != nil {
			return nil, fmt.Errorf("reading gold answers, line %d: %w", n, err)
		}
		out = append(out, g)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading gold answers: %w", err)
	}
	return out, nil
}

func (g *Gold) validate() error {
	switch {
	case normalQuestion(g.Question) == "":
		return fmt.Errorf("question is %q, want at least one word", g.Question)
	case g.Answer == "":
		return fmt.Errorf("answer of %q is empty, want a text", g.Question)
	case slices.Contains(g.Wrong, g.Answer):
		return fmt.Errorf("wrong of %q holds its answer %q, want other texts", g.Question, g.Answer)
	case g.Difficulty != nil && !(*g.Difficulty >= 0 && *g.Difficulty <= 1):
		return fmt.Errorf("difficulty of %q is %v, want 0 to 1", g.Question, *g.Difficulty)
	}
	return nil
}

// knowledge is what the answers come from besides the prompt. It is immutable.
type knowledge struct {
	seed       uint64
	gold       map[string]Gold // by normalQuestion
	answers    []string        // the distinct gold answers in order
	difficulty *Difficulty
	groups     map[string][]string // see groupsOf
}

// newKnowledge prepares a; of equal questions the first counts.
func newKnowledge(a Answers) *knowledge {
	k := &knowledge{seed: a.Seed, gold: make(map[string]Gold, len(a.Gold)), difficulty: a.Difficulty, groups: groupsOf(a.Paraphrases)}
	distinct := map[string]bool{}
	for _, g := range a.Gold {
		distinct[g.Answer] = true
		if normal := normalQuestion(g.Question); k.gold[normal].Answer == "" {
			k.gold[normal] = g
		}
	}
	k.answers = slices.Sorted(maps.Keys(distinct))
	return k
}

// normalQuestion is a question's words in lower case, without punctuation, so
// that near-duplicates have one answer.
func normalQuestion(question string) string {
	var b strings.Builder
	scanWords(question, nil, func(word []byte, _ int, _ bool) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.Write(word)
	})
	return b.String()
}

// goldAnswer returns the known answer to question. Over blocks it is known
// only when one of them holds it, and it cites that block.
func (k *knowledge) goldAnswer(blocks []block, question string) (string, bool) {
	g, ok := k.gold[normalQuestion(question)]
	if !ok || len(blocks) == 0 {
		return g.Answer, ok
	}
	for _, b := range blocks {
		if strings.Contains(strings.ToLower(b.text), strings.ToLower(g.Answer)) {
			return g.Answer + " [" + b.id + "]", true
		}
	}
	return "", false
}

// wrongAnswer returns an answer to question other than right: a wrong one of
// the gold file, another sentence of the blocks, or the answer to another
// question; "" when there is none.
func (k *knowledge) wrongAnswer(blocks []block, question, right string, rnd *rand.Rand) string {
	var options []string
	if len(blocks) > 0 {
		options = otherSentences(blocks, right)
	} else if g, ok := k.gold[normalQuestion(question)]; ok {
		if options = g.Wrong; len(options) == 0 {
			options = k.answers
		}
	}
	if len(options) == 0 {
		return ""
	}
	at := rnd.IntN(len(options))
	for i := range options {
		if o := options[(at+i)%len(options)]; o != right {
			return o
		}
	}
	return ""
}

// otherSentences returns the sentences of blocks that right does not use, each
// with the marker of its block.
func otherSentences(blocks []block, right string) []string {
	var out []string
	for i, b := range blocks {
		for _, s := range sentencesOf(b.text, i) {
			if bare := strings.TrimSuffix(right, " ["+b.id+"]"); !strings.Contains(right, s.text) && !strings.Contains(s.text, bare) {
				out = append(out, s.text+" ["+b.id+"]")
			}
		}
	}
	return out
}
