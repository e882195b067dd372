package llmsim

import (
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// unknownAnswer is the whole answer when the context does not cover the
	// question.
	unknownAnswer = "I don't know."
	// minCoverage is the share of the question's weight that the chosen
	// sentences of the best sentence's block must cover. Measured: SQuAD
	// questions over five paragraphs pass 0.93 of the time, questions about
	// other things 0.13.
	minCoverage = 0.45
	// absentFactor lowers the coverage for each name in the question that no
	// block holds.
	absentFactor = 0.7
	// maxSentences bounds an answer.
	maxSentences = 3
	// Credit of a question word that the sentence itself lacks but that is
	// near: in the sentence beside it, in its block's headings, elsewhere in
	// its block.
	creditBeside  = 0.35
	creditHeading = 0.6
	creditBlock   = 0.25
	// creditFuzzy is that of a word with the same beginning.
	creditFuzzy = 0.7
	// properFactor raises names (capitalised inside the question).
	properFactor = 1.8
	// lengthSlack is the number of words from which a sentence loses score.
	lengthSlack = 40
	// typeBonus goes to a sentence that holds the kind of thing asked for.
	typeBonus = 0.06
	// nextGain is the coverage another sentence must add, nextShare the part
	// of the best score it must have.
	nextGain  = 0.08
	nextShare = 0.5
)

// answerFromBlocks answers question with one to three sentences of blocks,
// each followed by the marker of its block, or with unknownAnswer. The
// sentences are those with the largest overlap with the question, weighted by
// static word weights and by inverse frequency among the given sentences.
func answerFromBlocks(blocks []block, question string) string {
	r := newReader(blocks, question)
	chosen, coverage := r.choose()
	if len(chosen) == 0 || coverage < minCoverage {
		return unknownAnswer
	}
	var b strings.Builder
	for i, c := range chosen {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(r.candidates[c].text)
		b.WriteString(" [")
		b.WriteString(blocks[r.candidates[c].block].id)
		b.WriteByte(']')
	}
	return b.String()
}

// term is one content word of a question.
type term struct {
	stem   string
	weight float64
	name   bool // capitalised inside the question
	absent bool // in no block
	found  []match
}

// candidate is a sentence with its words and its credit for each term.
type candidate struct {
	sentence
	words  wordSet
	length int
	credit []float64 // by term
	score  float64
}

// reader holds one question over its blocks.
type reader struct {
	question   string
	terms      []term
	total      float64 // weight of all terms
	candidates []candidate
	blockWords []wordSet
	headWords  []wordSet
}

func newReader(blocks []block, question string) *reader {
	r := &reader{question: strings.ToLower(question)}
	for i, b := range blocks {
		all := wordSet{}
		for _, s := range sentencesOf(b.text, i) {
			words := wordSet{}
			n := words.addText(s.text)
			all.addText(s.text)
			r.candidates = append(r.candidates, candidate{sentence: s, words: words, length: n})
		}
		all.addText(b.section)
		r.blockWords = append(r.blockWords, all)
		head := wordSet{}
		head.addText(b.section)
		head.addText(b.source)
		r.headWords = append(r.headWords, head)
	}
	r.weighTerms(question)
	for i := range r.candidates {
		r.rate(i)
	}
	return r
}

// weighTerms sets the terms of the question: static weight times inverse
// sentence frequency, log(1+N/(df+½)) scaled to 1 for an absent word.
func (r *reader) weighTerms(question string) {
	n := float64(len(r.candidates))
	most := math.Log(1 + n/0.5)
	vocabulary := r.vocabulary()
	for _, t := range questionTerms(question) {
		t.found = vocabulary.matches(t.stem)
		df := 0.0
		for i := range r.candidates {
			if r.candidates[i].words.has(t.found) > 0 {
				df++
			}
		}
		t.absent = df == 0 && !slices.ContainsFunc(r.blockWords, func(s wordSet) bool { return s.has(t.found) > 0 })
		if most > 0 {
			t.weight *= 0.4 + 0.6*math.Log(1+n/(df+0.5))/most
		}
		r.terms = append(r.terms, t)
		r.total += t.weight
	}
}

// vocabulary is all stems of the blocks and their headings.
func (r *reader) vocabulary() wordSet {
	all := wordSet{}
	for i := range r.blockWords {
		maps.Copy(all, r.blockWords[i])
		maps.Copy(all, r.headWords[i])
	}
	for i := range r.candidates {
		all.addText(r.candidates[i].heading)
	}
	return all
}

// rate computes the credits and the score of candidate i.
func (r *reader) rate(i int) {
	c := &r.candidates[i]
	heading := wordSet{}
	heading.addText(c.heading)
	c.credit = make([]float64, len(r.terms))
	for j, t := range r.terms {
		credit := c.words.has(t.found)
		if credit < creditHeading {
			credit = max(credit, creditHeading*max(heading.has(t.found), r.headWords[c.block].has(t.found)),
				creditBeside*r.beside(i, t.found), creditBlock*r.blockWords[c.block].has(t.found))
		}
		c.credit[j] = credit
		c.score += credit * t.weight
	}
	if r.total > 0 {
		c.score /= r.total
	}
	if c.length > lengthSlack {
		c.score *= 1 - 0.1*math.Log2(float64(c.length)/lengthSlack)
	}
	if c.score > 0 && hasAskedType(r.question, c.text) {
		c.score += typeBonus
	}
	if c.length < 4 || strings.HasSuffix(c.text, "?") {
		c.score *= 0.5
	}
}

// beside looks for a word in the sentences next to candidate i in its block.
func (r *reader) beside(i int, found []match) float64 {
	best := 0.0
	for _, j := range [2]int{i - 1, i + 1} {
		if j >= 0 && j < len(r.candidates) && r.candidates[j].block == r.candidates[i].block {
			best = max(best, r.candidates[j].words.has(found))
		}
	}
	return best
}

// choose picks the best sentence and those that add to its coverage. The
// coverage it returns counts only sentences of the first one's block: words
// gathered from several documents are what a foreign question finds.
func (r *reader) choose() (chosen []int, coverage float64) {
	if r.total == 0 || len(r.candidates) == 0 {
		return nil, 0
	}
	covered := make([]float64, len(r.terms))
	own := make([]float64, len(r.terms))
	for len(chosen) < maxSentences {
		pick := r.next(chosen, covered)
		if pick < 0 {
			break
		}
		chosen = append(chosen, pick)
		sameBlock := r.candidates[pick].block == r.candidates[chosen[0]].block
		for j, credit := range r.candidates[pick].credit {
			covered[j] = max(covered[j], credit)
			if sameBlock {
				own[j] = max(own[j], credit)
			}
		}
	}
	return chosen, r.coverage(own)
}

// next returns the sentence to add to chosen, -1 when none is worth it: first
// the one with the highest score, then those that add most.
func (r *reader) next(chosen []int, covered []float64) int {
	pick, value := -1, 0.0
	for i := range r.candidates {
		c := &r.candidates[i]
		v := c.score
		if len(chosen) > 0 {
			v = r.gain(covered, c)
			if v < nextGain || c.score < nextShare*r.candidates[chosen[0]].score || slices.Contains(chosen, i) {
				continue
			}
		}
		if pick < 0 || v > value {
			pick, value = i, v
		}
	}
	return pick
}

// coverage is the share of the question's weight in credits, lowered for names
// nobody mentions.
func (r *reader) coverage(credits []float64) float64 {
	sum := 0.0
	for j, t := range r.terms {
		sum += credits[j] * t.weight
	}
	for _, t := range r.terms {
		if t.name && t.absent {
			sum *= absentFactor
		}
	}
	return sum / r.total
}

// gain is the coverage candidate c would add.
func (r *reader) gain(covered []float64, c *candidate) float64 {
	sum := 0.0
	for j, t := range r.terms {
		sum += max(0, c.credit[j]-covered[j]) * t.weight
	}
	return sum / r.total
}

// questionTerms returns the distinct content words of a question with their
// static weights; names weigh more. Pairs of characters are the words of
// scripts without spaces.
func questionTerms(question string) []term {
	var out []term
	seen := map[string]bool{}
	add := func(stem string, weight float64, name bool) {
		if !seen[stem] && weight > weightStop {
			seen[stem] = true
			out = append(out, term{stem: stem, weight: weight, name: name})
		}
	}
	first := true
	eachWord(question, func(w wordAt) {
		weight := float64(w.weight)
		name := !first && weight > weightStop && w.capital
		if name {
			weight = max(weight, weightUsual) * properFactor
		}
		first = false
		add(w.stem, weight, name)
	})
	return out
}

// hasAskedType reports whether text holds the kind of thing a question in
// lower case asks for: a number for "how many" and "when", a name for "who"
// and "where".
func hasAskedType(question, text string) bool {
	switch {
	case strings.Contains(question, "how many"), strings.Contains(question, "how much"),
		strings.Contains(question, "when "), strings.Contains(question, "what year"), strings.Contains(question, "how long"):
		return strings.ContainsAny(text, "0123456789")
	case strings.Contains(question, "who "), strings.Contains(question, "where "), strings.Contains(question, "whose "):
		_, size := utf8.DecodeRuneInString(text)
		return strings.IndexFunc(text[size:], unicode.IsUpper) >= 0
	}
	return false
}
