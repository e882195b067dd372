package chunk

import "strings"

const (
	// pathSep stands between title and headings of a prefix.
	pathSep = " > "
	// prefixEnd closes the path line.
	prefixEnd = "\n\n"
	// prefixShare is the part of the limit a path may take: a quarter.
	prefixShare = 4
)

// prefix is the path line of a section.
type prefix struct {
	text    string
	tokens  int
	heading bool // holds the innermost heading
}

// pathPrefix builds the prefix of a heading path: the title and as many
// headings as fit into a share of the limit, the innermost first.
func (s *splitter) pathPrefix(path []string) prefix {
	parts := path
	if t := s.doc.Title; t != "" && (len(path) == 0 || path[0] != t) {
		parts = append([]string{t}, path...)
	}
	budget := s.opt.MaxTokens/prefixShare - s.count(prefixEnd)
	keep := make([]bool, len(parts))
	for _, i := range byWeight(len(parts), len(parts) > len(path)) {
		if n := s.count(pathSep + parts[i]); n <= budget {
			budget -= n
			keep[i] = true
		}
	}
	var kept []string
	for i, p := range parts {
		if keep[i] {
			kept = append(kept, p)
		}
	}
	if len(kept) == 0 {
		return prefix{}
	}
	text := strings.Join(kept, pathSep) + prefixEnd
	n := s.opt.Counter.Count(text)
	if n > s.opt.MaxTokens/2 { // the whole may have more tokens than its parts
		return prefix{}
	}
	return prefix{text: text, tokens: n, heading: len(path) > 0 && keep[len(parts)-1]}
}

// byWeight returns the indexes of n parts by importance: the innermost heading,
// the title (if the first part is one), then outwards.
func byWeight(n int, title bool) []int {
	var order []int
	first := 0
	if title {
		first = 1
	}
	for i := n - 1; i >= first; i-- {
		order = append(order, i)
		if i == n-1 && title {
			order = append(order, 0)
		}
	}
	if title && len(order) == 0 {
		order = append(order, 0)
	}
	return order
}

// count counts a short text, remembering the result: prefixes repeat.
func (s *splitter) count(text string) int {
	n, ok := s.counts[text]
	if !ok {
		n = s.opt.Counter.Count(text)
		s.counts[text] = n
	}
	return n
}
