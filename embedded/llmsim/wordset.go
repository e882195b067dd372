package llmsim

import (
	"unicode"
	"unicode/utf8"
)

// wordAt is one word of a text as the answerer sees it.
type wordAt struct {
	stem    string
	weight  float32 // static weight, see wordWeight
	capital bool    // written with a capital letter or digits
}

// widePairHiragana is the weight of a pair of Hiragana, mostly particles.
const widePairHiragana = 0.2

// eachWord calls fn with the words of text: stemmed words, and pairs of
// characters in scripts without spaces.
func eachWord(text string, fn func(wordAt)) {
	var prev rune
	prevEnd := -1
	scanWords(text, nil, func(word []byte, at int, wide bool) {
		if !wide {
			weight := wordWeight(word)
			r, _ := utf8.DecodeRuneInString(text[at:])
			fn(wordAt{stem: string(stem(word)), weight: weight, capital: unicode.IsUpper(r) || unicode.IsDigit(r)})
			return
		}
		r, size := utf8.DecodeRune(word)
		if prevEnd == at {
			weight := float32(weightRare)
			if unicode.Is(unicode.Hiragana, r) && unicode.Is(unicode.Hiragana, prev) {
				weight = widePairHiragana
			}
			fn(wordAt{stem: string([]rune{prev, r}), weight: weight})
		}
		prev, prevEnd = r, at+size
	})
}

// wordSet is the set of stems of a text.
type wordSet map[string]struct{}

// addText adds the words of text and returns how many there were.
func (s wordSet) addText(text string) int {
	n := 0
	eachWord(text, func(w wordAt) {
		s[w.stem] = struct{}{}
		n++
	})
	return n
}

// has returns the largest value of a match that the set holds, else 0.
func (s wordSet) has(matches []match) float64 {
	best := 0.0
	for _, m := range matches {
		if m.value <= best {
			continue
		}
		if _, ok := s[m.stem]; ok {
			best = m.value
		}
	}
	return best
}

// match is a stem that stands for a question word, and how well.
type match struct {
	stem  string
	value float64 // 1 for the word itself, creditFuzzy for one that begins alike
}

// matches finds the stems in the vocabulary that stand for stem.
func (s wordSet) matches(stem string) []match {
	out := []match{{stem, 1}}
	if len(stem) < 5 || stem[0] <= '9' {
		return out
	}
	for w := range s {
		if w != stem && similar(stem, w) {
			out = append(out, match{w, creditFuzzy})
		}
	}
	return out
}

// similar reports whether two stems share their first characters: at least
// five bytes and three quarters of the shorter one, with endings of at most
// four bytes.
func similar(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) < 5 || len(b)-len(a) > 4 {
		return false
	}
	n := 0
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n >= 5 && 4*n >= 3*len(a)
}
