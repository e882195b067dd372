package tokens

import "unicode/utf8"

// Split cuts text into pieces of at most limit tokens each, as long as they can
// be, preferring a border between words in the second half of a piece, else a
// token border that is a rune border. The pieces joined are text. A limit below
// 1 reads as 1; only a single rune of more than limit tokens (four at most)
// makes a larger piece. The limit is promised for valid UTF-8 only. Time is
// O(n log n).
func (c *Counter) Split(text string, limit int) []string {
	limit = max(limit, 1)
	if len(text) <= limit { // a token has at least one byte
		if text == "" {
			return nil
		}
		return []string{text}
	}
	ends := c.tokenEnds(text)
	var out []string
	start := 0
	for i := 0; i < len(ends); {
		j := c.pieceEnd(text, start, ends[i:], limit)
		i += j
		out = append(out, text[start:ends[i-1]])
		start = ends[i-1]
	}
	return out
}

// pieceEnd returns how many of the tokens ending at ends make the next piece,
// which begins at start.
func (c *Counter) pieceEnd(text string, start int, ends []int, limit int) int {
	if len(ends) <= limit && c.Count(text[start:ends[len(ends)-1]]) <= limit {
		return len(ends)
	}
	for n := min(limit, len(ends)); ; {
		j := wordBorder(text, start, ends, n)
		// A piece counted alone may differ from its share of the whole.
		over := c.Count(text[start:ends[j-1]]) - limit
		if over <= 0 || n == 1 {
			return j
		}
		n = max(1, min(n-over, n/2))
	}
}

// wordBorder returns the number of tokens, n or fewer, up to the last border
// between words in the second half of them, else up to the last rune border.
// It exceeds n only to complete the first rune.
func wordBorder(text string, start int, ends []int, n int) int {
	for j := n; j > n/2; j-- {
		if betweenWords(text, ends[j-1]) {
			return j
		}
	}
	j := n
	for j > 0 && !runeBorder(text, ends[j-1]) {
		j--
	}
	if j > 0 && ends[j-1] > start {
		return j
	}
	for j = n; j < len(ends) && !runeBorder(text, ends[j-1]); {
		j++
	}
	return j
}

// runeBorder reports whether no rune of text crosses offset i.
func runeBorder(text string, i int) bool {
	return i == len(text) || utf8.RuneStart(text[i])
}

// betweenWords reports whether offset i is an end, a line start or stands
// before a blank.
func betweenWords(text string, i int) bool {
	return i == len(text) || text[i] == ' ' || text[i-1] == '\n'
}

// tokenEnds returns the end offset of every token of text.
func (c *Counter) tokenEnds(text string) []int {
	ends := make([]int, 0, len(text)/4+1)
	p, m := c.parts()
	for pos := 0; pos < len(text); {
		n := p.next(text[pos:])
		for _, end := range m.merge(text[pos : pos+n])[1:] {
			ends = append(ends, pos+int(end))
		}
		pos += n
	}
	return ends
}
