package cascade

import (
	"math"
	"strings"
)

// mathParser reads an expression by recursive descent.
type mathParser struct {
	tokens []mathToken
	at     int
}

// maxDepth bounds brackets within brackets.
const maxDepth = 20

// sum reads terms with + and -. What follows the longest expression is left.
func (p *mathParser) sum(depth int) (value, bool) {
	v, ok := p.product(depth)
	for ok {
		back := p.at
		sign, there := p.sign("+-")
		if !there {
			return v, true
		}
		w, good := p.product(depth)
		if !good {
			p.at = back
			return v, true
		}
		factor := 1.0
		if sign == '-' {
			factor = -1
		}
		v = v.with(w, func(a, b float64) float64 { return a + factor*b })
	}
	return v, false
}

func (p *mathParser) product(depth int) (value, bool) {
	v, ok := p.power(depth)
	for ok {
		back := p.at
		sign, there := p.sign("*/")
		if !there && p.at < len(p.tokens) && p.tokens[p.at].sign == '(' && p.at > 0 && p.tokens[p.at-1].to == p.tokens[p.at].from {
			sign, there = '*', true // 3(4)
		}
		if !there {
			return v, true
		}
		w, good := p.power(depth)
		if !good {
			p.at = back
			return v, true
		}
		if sign == '*' {
			v = v.with(w, func(a, b float64) float64 { return a * b })
			continue
		}
		v = v.with(w, func(a, b float64) float64 { return a / b })
		v.divided = true
	}
	return v, false
}

func (p *mathParser) power(depth int) (value, bool) {
	v, ok := p.factor(depth)
	if !ok {
		return v, false
	}
	back := p.at
	if _, there := p.sign("^"); !there {
		return v, true
	}
	w, good := p.factor(depth)
	if !good {
		p.at = back
		return v, true
	}
	return v.with(w, math.Pow), true
}

// factor reads a number, a bracket or either with a minus.
func (p *mathParser) factor(depth int) (value, bool) {
	if depth > maxDepth || p.at >= len(p.tokens) {
		return value{}, false
	}
	t := p.tokens[p.at]
	switch {
	case t.kind == mathNumber:
		p.at++
		v := value{hundredths: t.value, plain: t.value, places: t.places}
		if t.percent {
			v.hundredths, v.divided = t.value/100, true
		}
		return v, true
	case t.sign == '-':
		p.at++
		v, ok := p.factor(depth + 1)
		v.hundredths, v.plain = -v.hundredths, -v.plain
		return v, ok
	case t.sign == '(':
		p.at++
		v, ok := p.sum(depth + 1)
		p.units()
		if !ok || p.at >= len(p.tokens) || p.tokens[p.at].sign != ')' {
			return v, false
		}
		p.at++
		return v, true
	}
	return value{}, false
}

// sign reads one of the signs, and units before it.
func (p *mathParser) sign(of string) (byte, bool) {
	back := p.at
	p.units()
	if p.at < len(p.tokens) && p.tokens[p.at].sign != 0 && strings.IndexByte(of, p.tokens[p.at].sign) >= 0 {
		p.at++
		return p.tokens[p.at-1].sign, true
	}
	p.at = back
	return 0, false
}

func (p *mathParser) units() {
	for n := 0; n < maxUnits && p.at < len(p.tokens) && p.tokens[p.at].kind == mathWord; n++ {
		p.at++
	}
}

// with combines two values.
func (v value) with(w value, f func(a, b float64) float64) value {
	return value{
		hundredths: f(v.hundredths, w.hundredths), plain: f(v.plain, w.plain), signs: v.signs + w.signs + 1,
		divided: v.divided || w.divided, places: max(v.places, w.places),
	}
}
