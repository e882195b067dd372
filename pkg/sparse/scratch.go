package sparse

import (
	"unicode/utf8"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/arabic"
	"github.com/blevesearch/snowballstem/english"
	"golang.org/x/text/unicode/norm"
)

const (
	// gramSize is the letters in a piece of a word; 3 and 5 find less.
	gramSize = 4
	// pad marks a word's ends in its pieces.
	pad = '_'
	// latinPrefix and otherPrefix are the letters of a stem that count: what is
	// behind them is mostly inflection that no stemmer took off. English loses
	// nothing by it, Turkish gains 4 points, German 2, Greek 5, Russian 8.
	latinPrefix = 8
	otherPrefix = 5
	// longestWord bounds what is stemmed, and exact numbers and names, in bytes.
	longestWord = 40
	// stemsKept bounds the stems a scratch remembers, and textKept the text, in
	// bytes, after which it is thrown away.
	stemsKept = 1 << 14
	textKept  = 1 << 20
)

// scratch reads texts one at a time.
type scratch struct {
	stops        map[string]struct{}
	words, grams bag
	// terms, when wanted, takes the place of the bags.
	terms  []Term
	wanted bool
	stems  map[string]stem // by word
	env    *snowballstem.Env
	// text is the normalised text; term a padded word or a copy of its pieces.
	text, term []byte
	// starts are the offsets of the current run's letters, and its end.
	starts []int
}

// stem is what bm25 makes of a word.
type stem struct {
	id   uint32
	stop bool
}

func newScratch(stops map[string]struct{}) *scratch {
	return &scratch{stops: stops, stems: map[string]stem{}, env: snowballstem.NewEnv("")}
}

// read fills both bags with the terms of text.
func (s *scratch) read(text string) {
	s.words.reset()
	s.grams.reset()
	s.terms = s.terms[:0]
	s.normalise(text)
	for at := 0; at < len(s.text); {
		at = s.run(at)
	}
}

// normalise folds case, width and accents into s.text. It takes everything
// apart (NFKD) so that accents can be left out, and what is left is put together
// again; ASCII is only copied.
func (s *scratch) normalise(text string) {
	s.text = s.text[:0]
	for i := range len(text) {
		c := text[i]
		if c >= utf8.RuneSelf {
			s.term = norm.NFKD.AppendString(s.term[:0], text)
			s.fold(s.term)
			return
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		s.text = append(s.text, c)
	}
}

// fold puts text into s.text without case and accents.
func (s *scratch) fold(text []byte) {
	s.text = s.text[:0]
	compose := false
	for len(text) > 0 {
		r, n := decode(text)
		text = text[n:]
		if !dropped(r) {
			s.text = utf8.AppendRune(s.text, fold(r))
			compose = compose || r > lastAccent
		}
	}
	if compose { // below, only accents compose
		s.term = norm.NFC.Append(s.term[:0], s.text...)
		s.text, s.term = s.term, s.text
	}
}

// run reads the run of letters of one class that begins at at, if one does, and
// returns where to go on.
func (s *scratch) run(at int) int {
	r, n := decode(s.text[at:])
	class := classOf(r)
	if class == classNone || class == classMark {
		return at + n
	}
	s.starts = s.starts[:0]
	digits := false
	for end := at; ; end += n {
		r, n = decode(s.text[end:])
		next := classOf(r)
		if next == classMark {
			next = class
		}
		s.starts = append(s.starts, end)
		if next != class {
			s.emit(class, digits)
			return end
		}
		digits = digits || isDigit(r)
	}
}

// decode is utf8.DecodeRune with a short way for ASCII; the end is a rune of no
// class.
func decode(text []byte) (rune, int) {
	if len(text) > 0 && text[0] < utf8.RuneSelf {
		return rune(text[0]), 1
	}
	return utf8.DecodeRune(text)
}

// emit adds the terms of the run in s.starts.
func (s *scratch) emit(class class, digits bool) {
	letters := len(s.starts) - 1
	switch class {
	case classIdeograph:
		s.pieces(1)
		if letters > 1 {
			s.pieces(2)
		}
	case classUnspaced:
		s.pieces(min(3, letters))
	default:
		s.word(digits)
		if !s.wanted {
			s.wordGrams()
		}
	}
}

// pieces adds all pieces of n letters of the run to both bags.
func (s *scratch) pieces(n int) {
	for i := range len(s.starts) - n {
		id := termID(s.text[s.starts[i]:s.starts[i+n]])
		if s.wanted {
			s.terms = append(s.terms, Term{ID: id, Exact: id, Length: pieceLength})
			continue
		}
		s.words.add(id, pieceLength)
		s.grams.add(id, 1)
	}
}

// wordGrams adds the pieces of the word in s.starts, its ends marked.
func (s *scratch) wordGrams() {
	first, last := s.starts[0], s.starts[len(s.starts)-1]
	s.term = append(append(append(s.term[:0], pad), s.text[first:last]...), pad)
	letters := len(s.starts) - 1 // of the word; the padded one has two more
	if letters+2 <= gramSize {
		s.grams.add(termID(s.term), 1)
		return
	}
	// In s.term letter i of the word begins one byte later than in the word.
	start := func(i int) int {
		switch {
		case i == 0:
			return 0
		case i > letters+1:
			return len(s.term)
		}
		return s.starts[i-1] - first + 1
	}
	for i := range letters + 2 - gramSize + 1 {
		s.grams.add(termID(s.term[start(i):start(i+gramSize)]), 1)
	}
}

// word adds the stem of the word in s.starts, unless it is a stop word.
func (s *scratch) word(digits bool) {
	word := s.text[s.starts[0]:s.starts[len(s.starts)-1]]
	found, known := s.stems[string(word)]
	if !known {
		found = s.stem(word, digits)
		if len(word) <= longestWord {
			if len(s.stems) >= stemsKept {
				clear(s.stems)
			}
			s.stems[string(word)] = found
		}
	}
	switch {
	case found.stop:
	case s.wanted:
		s.terms = append(s.terms, Term{ID: found.id, Exact: termID(word), Number: digits, Length: 1})
	default:
		s.words.add(found.id, 1)
	}
}

// stem returns what bm25 makes of a word: a number or name with digits is kept,
// of others the first letters of the stem count.
func (s *scratch) stem(word []byte, digits bool) stem {
	if _, stop := s.stops[string(word)]; stop {
		return stem{stop: true}
	}
	if digits {
		return stem{id: termID(word[:min(len(word), longestWord)])}
	}
	first, _ := decode(word)
	if len(word) <= longestWord {
		word = s.snowball(word, first)
	}
	letters := otherPrefix
	if isLatin(first) {
		letters = latinPrefix
	}
	return stem{id: termID(prefix(word, letters))}
}

// snowball stems English and Arabic: Latin and Arabic script is taken for them.
func (s *scratch) snowball(word []byte, first rune) []byte {
	switch {
	case isLatin(first):
		s.env.SetCurrent(string(word))
		english.Stem(s.env)
	case isArabic(first):
		s.env.SetCurrent(string(word))
		arabic.Stem(s.env)
	default:
		return word
	}
	s.term = append(s.term[:0], s.env.Current()...)
	return s.term
}

// prefix is the first letters of word.
func prefix(word []byte, letters int) []byte {
	at := 0
	for range letters {
		if at >= len(word) {
			break
		}
		_, n := utf8.DecodeRune(word[at:])
		at += n
	}
	return word[:at]
}
