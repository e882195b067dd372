package cascade

import (
	"iter"
	"math"
	"strings"
)

// maxEquations bounds how many equations of a text are looked at.
const maxEquations = 200

// ArithmeticErrors returns the equations of the text that are wrong, as written:
// those with numbers and + - * / ^ ( ) on the left of "=", alone, in chains, with
// units, currency marks, percent and thousands separators, or in the calculator
// marks of GSM8K (<<2*3=6>>). A result that is rounded as it is written is right,
// and so is what can be read in a way that is. Equations with letters for numbers
// are left alone. It is no proof that the rest is right. It reads what
// AnswerFeatures reads, so that both count the same equations.
func ArithmeticErrors(text string) []string {
	var wrong []string
	for e := range equations(strings.TrimSpace(head(text, maxAnswer))) {
		if e.match == matchNone {
			wrong = append(wrong, e.text)
		}
	}
	return wrong
}

// equation is one that can be checked.
type equation struct {
	text   string
	left   []mathToken // of its left side
	result float64     // the number to the right, or what the expression there is worth
	match  match
}

// match is how far the sides of an equation are the same.
type match uint8

const (
	matchNone match = iota
	matchRounded
	matchExact
)

// equations are those of a text that can be checked.
func equations(text string) iter.Seq[equation] {
	return func(yield func(equation) bool) {
		n := 0
		for line := range strings.SplitSeq(text, "\n") {
			if !strings.Contains(line, "=") {
				continue
			}
			tokens := scanMath(line)
			for i := range tokens {
				e, ok := equationAt(line, tokens, i)
				if !ok {
					continue
				}
				if n++; n > maxEquations || !yield(e) {
					return
				}
			}
		}
	}
}

// equationAt is the equation around token i, if that is "=".
func equationAt(line string, tokens []mathToken, i int) (equation, bool) {
	if tokens[i].kind != mathEquals {
		return equation{}, false
	}
	from, left, ok := leftSide(tokens, i)
	if !ok {
		return equation{}, false
	}
	to, right, ok := rightSides(tokens, i)
	if !ok {
		return equation{}, false
	}
	return equation{
		text: strings.TrimSpace(line[tokens[from].from:tokens[to-1].to]), left: tokens[from:i],
		result: right[0].plain, match: agrees(left, right),
	}, true
}

// maxUnits is how many words may follow a number within an expression.
const maxUnits = 2

// leftSide finds the longest expression that ends at token end and has a sign.
func leftSide(tokens []mathToken, end int) (from int, v value, ok bool) {
	low, words := end, 0
	for low > 0 && end-low < 64 {
		t := tokens[low-1]
		if t.kind == mathEnd || t.kind == mathEquals {
			break
		}
		if t.kind == mathWord {
			if words++; words > maxUnits {
				break
			}
		} else {
			words = 0
		}
		low--
	}
	for at := low; at < end; at++ {
		if tokens[at].kind == mathWord || opens(tokens, low, at) || at > low && tokens[at-1].sign != 0 && tokens[at-1].sign != '(' && !opens(tokens, low, at-1) {
			continue
		}
		p := mathParser{tokens: tokens[:end], at: at}
		v, ok := p.sum(0)
		p.units()
		if ok && p.at == end && v.signs > 0 {
			return at, v, true
		}
	}
	return 0, value{}, false
}

// opens reports whether the sign at i can be the bullet of a list.
func opens(tokens []mathToken, low, i int) bool {
	return i == 0 && low == 0 && tokens[i].sign == '-' && len(tokens) > 1 && tokens[1].from > tokens[0].to
}

// rightSides are the values that may be meant to the right of token equals: the
// first number, and the longest expression.
func rightSides(tokens []mathToken, equals int) (to int, values [2]value, ok bool) {
	p := mathParser{tokens: tokens, at: equals + 1}
	long, ok := p.sum(0)
	if !ok {
		return 0, values, false
	}
	to = p.at
	q := mathParser{tokens: tokens, at: equals + 1}
	short, ok := q.factor(0)
	if !ok {
		short = long
	}
	return to, [2]value{short, long}, true
}

// value is what an expression is worth in its two readings of percent, and how
// exact it is written.
type value struct {
	hundredths, plain float64 // with 5 % as 0.05 and as 5
	signs             int
	divided           bool // there is a division or a percentage: the result may be rounded
	places            int  // of the least exact number that has any
}

// agrees is the best match of the left side with one of the right ones, in any
// reading.
func agrees(left value, right [2]value) match {
	best := matchNone
	for _, r := range right {
		for _, l := range []float64{left.hundredths, left.plain, 100 * left.hundredths} {
			best = max(best, near(l, r.hundredths, left, r), near(l, r.plain, left, r))
		}
	}
	return best
}

// near compares up to what the way of writing the result leaves open: it may be
// rounded, or cut off behind its last place.
func near(l, r float64, left, right value) match {
	distance := math.Abs(l - r)
	switch {
	case math.IsInf(distance, 0) || math.IsNaN(distance):
		return matchNone
	case distance <= 1e-9*math.Max(math.Abs(l), math.Abs(r))+1e-12:
		return matchExact
	case right.signs > 0 || right.places == 0 && !left.divided && left.places == 0:
		return matchNone
	}
	unit := math.Pow(10, -float64(right.places))
	cut := right.places > 0 && math.Abs(r) < math.Abs(l) && distance < unit
	if cut || distance <= unit/2*(1+1e-9) {
		return matchRounded
	}
	return matchNone
}
