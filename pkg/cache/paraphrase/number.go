package paraphrase

import (
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// numberForm is a number: a sign or currency, digits with or without groups of
// thousands, a fraction, a unit. "1.000" is none: it is one in English and a
// thousand elsewhere.
var numberForm = regexp.MustCompile(`^([$€£¥]?)([-+]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(%|[A-Za-z°]+)?$`)

// readNumbers gives numbers their value, with the unit behind them: "1,000 km",
// "1000 kilometres" and "1000km" are one word. A fraction stays as it is written,
// for 3.10 may be a version; so do leading zeros.
func readNumbers(words []word) []word {
	out := make([]word, 0, len(words))
	for i := 0; i < len(words); {
		w, n := readNumber(words[i:])
		out = append(out, w)
		i += n
	}
	return out
}

// readNumber reads the number that begins with the first word, and returns how
// many words it has; the first word as it is when it is none.
func readNumber(words []word) (word, int) {
	value, unit, n := digits(words[0])
	if n == 0 {
		value, n = inWords(words)
	}
	if n == 0 {
		if ordinal, ok := lexicon().ordinals[words[0].key]; ok {
			words[0].key, words[0].kind = ordinal, kindWord
		}
		return words[0], 1
	}
	n, value = multiply(words, n, value, unit)
	if unit == "" && n < len(words) && !words[n-1].pause {
		if u := unitOf(words[n]); u != "" {
			unit = u
			n++
		}
	}
	w := join(words[:n])
	w.key, w.kind = strings.TrimSpace("#"+value+" "+unit), kindNumber
	return w, n
}

// unitOf is the unit a word behind a number stands for, "" when it is none. The
// case of short ones counts, for 5 G is no weight; "5 in" is no length.
func unitOf(w word) string {
	if u := lexicon().units[w.key]; u != "" && w.kind == kindWord && (w.raw == w.key || len(w.key) > 3) {
		return u
	}
	if w.raw == "in" {
		return ""
	}
	return lexicon().attached[w.raw]
}

// join makes one word of several.
func join(words []word) word {
	w := words[len(words)-1]
	w.first = words[0].first
	raws := make([]string, len(words))
	for i, part := range words {
		raws[i] = part.raw
	}
	w.raw = strings.Join(raws, " ")
	return w
}

// digits reads a number written in digits: n is 1, or 0 when it is none.
func digits(w word) (value, unit string, n int) {
	m := numberForm.FindStringSubmatch(w.raw)
	if m == nil {
		return "", "", 0
	}
	lex := lexicon()
	unit = lex.currencies[m[1]]
	if m[5] != "" {
		u, ok := lex.attached[m[5]]
		if !ok || unit != "" {
			return "", "", 0
		}
		unit = u
	}
	return m[2] + strings.ReplaceAll(m[3], ",", "") + m[4], unit, 1
}

// multiply reads "million" and the like behind a number.
func multiply(words []word, n int, value, unit string) (int, string) {
	if n == len(words) || words[n-1].pause || unit != "" && !strings.ContainsAny(words[0].raw, "$€£¥") {
		return n, value
	}
	zeros, ok := lexicon().multipliers[words[n].key]
	if !ok {
		return n, value
	}
	r, ok := new(big.Rat).SetString(value)
	if !ok {
		return n, value
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(zeros), nil)))
	if !r.IsInt() {
		return n, value
	}
	return n + 1, r.Num().String()
}

// inWords reads a number in words below a hundred, "two" or "twenty-five", or
// "one" before a multiplier or a unit: else it is a pronoun.
func inWords(words []word) (value string, n int) {
	lex := lexicon()
	tens, one, hyphen := strings.Cut(words[0].key, "-")
	small := slices.Index(lex.numbers, words[0].key)
	switch ten := slices.Index(lex.tens, tens); {
	case words[0].kind != kindWord:
		return "", 0
	case small == 1 && !countsBehind(words):
		return "", 0
	case small >= 0:
		return big.NewInt(int64(small)).String(), 1
	case ten < 0:
		return "", 0
	case hyphen:
		if unit := slices.Index(lex.numbers, one); unit > 0 && unit < 10 {
			return big.NewInt(int64(10*ten + unit)).String(), 1
		}
		return "", 0
	default:
		return big.NewInt(int64(10 * ten)).String(), 1
	}
}

// countsBehind reports whether a unit or a multiplier follows the first word.
func countsBehind(words []word) bool {
	if len(words) < 2 || words[0].pause {
		return false
	}
	lex := lexicon()
	_, multiplier := lex.multipliers[words[1].key]
	_, unit := lex.units[words[1].key]
	return multiplier || unit
}
