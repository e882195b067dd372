package cascade

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mathKind is what a token of an equation is.
type mathKind uint8

const (
	mathNumber mathKind = iota
	mathSign            // + - * / ^ ( )
	mathEquals
	mathWord // a unit, or anything else with letters
	mathEnd  // what no expression reaches over
)

type mathToken struct {
	kind     mathKind
	sign     byte
	percent  bool
	value    float64
	places   int // digits behind the point, of a number
	from, to int
}

// maxTokens bounds a line.
const maxTokens = 4000

// scanMath cuts a line into tokens.
func scanMath(line string) []mathToken {
	tokens := make([]mathToken, 0, min(len(line)/3+1, maxTokens))
	for i := 0; i < len(line) && len(tokens) < maxTokens; {
		c, size := utf8.DecodeRuneInString(line[i:])
		switch {
		case c >= '0' && c <= '9' || c == '.' && i+1 < len(line) && isDigit(line[i+1]):
			t := scanNumber(line, i)
			tokens = append(tokens, t)
			size = t.to - i
		case c == '%':
			if n := len(tokens); n > 0 && tokens[n-1].kind == mathNumber {
				tokens[n-1].percent = true
				tokens[n-1].to = i + 1
			}
		case unicode.IsLetter(c):
			size = wordLength(line[i:])
			tokens = append(tokens, wordToken(tokens, line[i:i+size], i))
		default:
			t, ok := signToken(line, i, c, size)
			if ok {
				tokens = append(tokens, t)
			}
			size = t.to - i
		}
		i += size
	}
	return tokens
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func wordLength(s string) int {
	for i, c := range s {
		if !unicode.IsLetter(c) && c != '\'' {
			return i
		}
	}
	return len(s)
}

// wordToken is a unit, or a word that stands for a sign.
func wordToken(before []mathToken, word string, at int) mathToken {
	t := mathToken{kind: mathWord, from: at, to: at + len(word)}
	after := len(before) > 0 && (before[len(before)-1].kind == mathNumber || before[len(before)-1].sign == ')')
	switch word {
	case "x", "X", "times":
		if after {
			t.kind, t.sign = mathSign, '*'
		}
	case "of":
		if after && before[len(before)-1].percent {
			t.kind, t.sign = mathSign, '*'
		}
	}
	return t
}

// signToken is a sign of arithmetic, or the end of an expression. Currency, bold
// marks and the calculator's brackets are no tokens.
func signToken(line string, i int, c rune, size int) (mathToken, bool) {
	t := mathToken{kind: mathSign, from: i, to: i + size}
	switch c {
	case ' ', '\t', '$', '€', '£', '¥', '`', '~':
		return t, false
	case '*':
		if strings.HasPrefix(line[i:], "**") {
			t.kind, t.to = mathEnd, i+2
			return t, isPower(line, i)
		}
		t.sign = '*'
	case '+', '-', '/', '^', '(', ')':
		t.sign = byte(c)
	case '[', '{':
		t.sign = '('
	case ']', '}':
		t.sign = ')'
	case '×', '·', '⋅':
		t.sign = '*'
	case '÷':
		t.sign = '/'
	case '−', '–':
		t.sign = '-'
	case '=':
		return equalsToken(line, i)
	case '\\':
		return latexToken(line, i)
	default:
		t.kind = mathEnd
	}
	return t, true
}

// isPower reports whether "**" at i is a power, which is not read, and not the
// mark of bold text.
func isPower(line string, i int) bool {
	return i > 0 && isDigit(line[i-1]) && i+2 < len(line) && isDigit(line[i+2])
}

func equalsToken(line string, i int) (mathToken, bool) {
	t := mathToken{kind: mathEquals, from: i, to: i + 1}
	if i > 0 && strings.IndexByte("<>!=~:", line[i-1]) >= 0 || i+1 < len(line) && (line[i+1] == '=' || line[i+1] == '>') {
		t.kind = mathEnd // <=, >=, !=, ==, =>
	}
	return t, true
}

func latexToken(line string, i int) (mathToken, bool) {
	word := wordLength(line[i+1:])
	t := mathToken{kind: mathSign, from: i, to: i + 1 + word}
	switch line[i+1 : i+1+word] {
	case "times", "cdot":
		t.sign = '*'
	case "div":
		t.sign = '/'
	case "left", "right", "":
		return t, false // of brackets, or an escaped sign
	default:
		t.kind = mathEnd
	}
	return t, true
}

// scanNumber reads a number with thousands separators. One that runs into a
// letter is a term of algebra, unless the letters are a unit.
func scanNumber(line string, i int) mathToken {
	t := mathToken{kind: mathNumber, from: i}
	var digits [32]byte
	text := digits[:0]
	at, point := i, -1
	for ; at < len(line) && len(text) < len(digits); at++ {
		c := line[at]
		switch {
		case isDigit(c):
			text = append(text, c)
			continue
		case c == '.' && point < 0 && (at+1 < len(line) && isDigit(line[at+1]) || at > i && atEnd(line, at+1)):
			point = len(text)
			text = append(text, c)
			continue
		case c == ',' && point < 0 && thousands(line, i, at):
			continue
		}
		break
	}
	if point >= 0 && point == len(text)-1 { // "5." is the end of a sentence
		text, at, point = text[:point], at-1, -1
	}
	if point >= 0 {
		t.places = len(text) - point - 1
	}
	value, err := strconv.ParseFloat(string(text), 64)
	t.value, t.to = value, at
	if err != nil || at < len(line) && (isDigit(line[at]) || algebra(line[at:])) {
		t.kind = mathEnd
	}
	return t
}

func atEnd(line string, at int) bool { return at >= len(line) }

// thousands reports whether the comma at i separates three digits.
func thousands(line string, from, i int) bool {
	if i == from || i+3 >= len(line) || !isDigit(line[i+1]) || !isDigit(line[i+2]) || !isDigit(line[i+3]) {
		return false
	}
	return i+4 >= len(line) || !isDigit(line[i+4])
}

// algebra reports whether what follows a number at once is a variable: one letter
// that is not x before a digit.
func algebra(rest string) bool {
	c, size := utf8.DecodeRuneInString(rest)
	if !unicode.IsLetter(c) || wordLength(rest) > size {
		return false
	}
	return c != 'x' && c != 'X' || size >= len(rest) || !isDigit(rest[size]) && rest[size] != '$'
}
