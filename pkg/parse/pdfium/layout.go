package pdfium

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// headingFactor is how much larger than the body a heading's letters are.
	headingFactor = 1.15
	// maxHeadingRunes and maxHeadingLines bound a heading.
	maxHeadingRunes = 120
	maxHeadingLines = 3
	// maxSection is the largest number of a numbered heading: larger ones are
	// those of pages.
	maxSection = 30
	// maxHeadingShare: at most one line in so many is a heading.
	maxHeadingShare = 6
	// repeatedShare is the share of pages, in percent, on which a line at the
	// edge must stand to be a running head; minRepeated is the least number.
	repeatedShare = 40
	minRepeated   = 3
)

// line is a line of text on a page; lengths are in points, y grows upwards.
type line struct {
	text         string
	left, right  float64
	top, bottom  float64
	size         float64 // height of its letters with their space
	bold         bool    // its first letter is
	headingLevel int     // 0 for text
}

// layout returns the pages as text: a blank line between paragraphs, headings
// as "# …", running heads and page numbers left out.
func layout(pages [][]line) []string {
	dropRepeated(pages)
	markHeadings(pages)
	out := make([]string, len(pages))
	for i, page := range pages {
		out[i] = pageText(page)
	}
	return out
}

// pageText joins the lines of a page.
func pageText(page []line) string {
	var b strings.Builder
	step := typicalStep(page)
	right := 0.0 // of the paragraph
	for i, l := range page {
		switch {
		case i == 0:
		case l.headingLevel > 0 && wraps(page[i-1], l):
			b.WriteString(" " + l.text)
			continue
		case l.headingLevel != page[i-1].headingLevel || newBlock(page[i-1], l, step, right):
			b.WriteString("\n\n")
			right = 0
		default:
			b.WriteByte('\n')
		}
		right = max(right, l.right)
		if l.headingLevel > 0 {
			b.WriteString(strings.Repeat("#", l.headingLevel) + " ")
		} else if strings.HasPrefix(l.text, "#") {
			b.WriteByte('\\')
		}
		b.WriteString(l.text)
	}
	return b.String()
}

// wraps reports whether heading b is the next line of heading a.
func wraps(a, b line) bool {
	down := a.bottom - b.bottom
	return a.headingLevel == b.headingLevel && down > 0 && down < 2*a.size
}

// newBlock reports whether a paragraph ends between two lines. right is the
// right edge of the paragraph so far.
func newBlock(a, b line, step, right float64) bool {
	size := max(a.size, b.size, 1)
	down := a.bottom - b.bottom
	if tiny(a, b) { // an index or a mark of a footnote
		return false
	}
	ended := endsSentence(a.text)
	switch {
	case math.Abs(down) <= 0.3*size: // the same line
		return false
	case down < 0, down > 5*size: // another column or a gap
		return ended || !startsLower(b.text)
	case step > 0 && down > 1.35*step:
		return true
	case ended && b.left-a.left > 0.7*size && b.left-a.left < 4*size: // an indent
		return true
	}
	return ended && right-a.right > 4*size // a short last line
}

// tiny reports whether one of two lines is a few small letters beside or within
// the other.
func tiny(a, b line) bool {
	if a.size > b.size {
		a, b = b, a
	}
	return a.size < 0.85*b.size && utf8.RuneCountInString(a.text) <= 8 && a.bottom < b.top+b.size && a.top > b.bottom-b.size
}

func endsSentence(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(strings.TrimRight(s, `"')]”’ `))
	return strings.ContainsRune(".!?:。！？", r)
}

func startsLower(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsLower(r)
}

// typicalStep returns the median distance of lines that follow each other
// closely, 0 if none do.
func typicalStep(page []line) float64 {
	var steps []float64
	for i := 1; i < len(page); i++ {
		down, size := page[i-1].bottom-page[i].bottom, max(page[i].size, 1)
		if down > 0.5*size && down < 3*size {
			steps = append(steps, down)
		}
	}
	return median(steps)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// markHeadings sets the levels of headings: lines whose letters are clearly
// larger than those of the body, the largest level 1, the next 2, all others 3;
// and numbered bold ones ("3.1 Method"), by the depth of their number.
func markHeadings(pages [][]line) {
	body := bodySize(pages)
	total := 0
	for _, page := range pages {
		total += len(page)
	}
	for least := headingFactor * body; least > 0; least *= headingFactor {
		sizes, lines := markLarge(pages, least)
		if lines*maxHeadingShare <= total {
			setLevels(pages, sizes)
			break
		}
		for _, page := range pages { // a poster: only what is larger still
			for i := range page {
				page[i].headingLevel = 0
			}
		}
	}
	for _, page := range pages {
		markNumbered(page, body)
	}
}

// markLarge marks the first line of every heading whose letters have at least
// the size, and returns the sizes, largest first, and the number of lines.
func markLarge(pages [][]line, least float64) (sizes []float64, lines int) {
	for _, page := range pages {
		for start := 0; start < len(page); {
			end := start + 1
			for end < len(page) && sameSize(page[start], page[end]) {
				end++
			}
			if isHeading(page[start:end], least) {
				sizes = append(sizes, round(page[start].size))
				page[start].headingLevel = -1
				lines += end - start
			}
			start = end
		}
	}
	slices.SortFunc(sizes, func(a, b float64) int { return cmp.Compare(b, a) })
	return slices.Compact(sizes), lines
}

// markNumbered marks numbered headings. Several in a row are a list or a table
// of contents.
func markNumbered(page []line, body float64) {
	last := -2
	for i := range page {
		l := &page[i]
		level := numberedLevel(l.text)
		if level == 0 {
			continue
		}
		switch {
		case last == i-1:
			page[last].headingLevel = 0
		case l.headingLevel == 0 && (l.bold || l.size > 1.05*body):
			l.headingLevel = level
		}
		last = i
	}
}

// numberedLevel returns the level of a numbered heading, 0 if s is none: one
// below that of the title for "1 Introduction", and so on.
func numberedLevel(s string) int {
	number, title, ok := strings.Cut(s, " ")
	number = strings.TrimSuffix(number, ".")
	if !ok || number == "" || len(number) > 8 || strings.Trim(number, "0123456789.") != "" || len(s) > maxHeadingRunes {
		return 0
	}
	first, _ := utf8.DecodeRuneInString(strings.TrimSpace(title))
	section, _, _ := strings.Cut(number, ".")
	if n, err := strconv.Atoi(section); err != nil || n > maxSection {
		return 0
	}
	if !unicode.IsUpper(first) || endsSentence(s) || strings.HasSuffix(s, softHyphen) {
		return 0
	}
	return min(2+strings.Count(number, "."), 6)
}

// setLevels gives the lines of marked runs their levels.
func setLevels(pages [][]line, sizes []float64) {
	for _, page := range pages {
		level := 0
		for i := range page {
			switch {
			case page[i].headingLevel < 0:
				level = min(1+slices.Index(sizes, round(page[i].size)), 3)
			case i > 0 && !sameSize(page[i-1], page[i]):
				level = 0
			}
			page[i].headingLevel = level
		}
	}
}

// isHeading reports whether a run of lines of one size is a heading.
func isHeading(run []line, least float64) bool {
	first, _ := utf8.DecodeRuneInString(run[0].text)
	if run[0].size < least || len(run) > maxHeadingLines || !unicode.IsLetter(first) && !unicode.IsDigit(first) {
		return false
	}
	runes, letters := 0, 0
	for _, l := range run {
		runes += utf8.RuneCountInString(l.text)
		for _, r := range l.text {
			if unicode.IsLetter(r) {
				letters++
			}
		}
	}
	return runes <= maxHeadingRunes && letters >= 3 && letters*2 > runes && !strings.HasSuffix(run[len(run)-1].text, ".")
}

func sameSize(a, b line) bool { return round(a.size) == round(b.size) }

// round rounds a size to half a point.
func round(size float64) float64 { return math.Round(size*2) / 2 }

// bodySize returns the size most letters have.
func bodySize(pages [][]line) float64 {
	letters := map[float64]int{}
	for _, page := range pages {
		for _, l := range page {
			letters[round(l.size)] += len(l.text)
		}
	}
	best := 0.0
	for size, n := range letters {
		if n > letters[best] || n == letters[best] && size < best {
			best = size
		}
	}
	return best
}

// dropRepeated removes running heads and page numbers: the topmost and lowest
// line of a page if they are, but for digits, the same on many pages.
func dropRepeated(pages [][]line) {
	counts := map[string]int{}
	for _, page := range pages {
		for _, i := range edges(page) {
			counts[mask(page[i].text)]++
		}
	}
	least := max(minRepeated, len(pages)*repeatedShare/100)
	for p, page := range pages {
		drop := edges(page)
		slices.Sort(drop)
		for _, i := range slices.Backward(drop) {
			if counts[mask(page[i].text)] >= least {
				page = slices.Delete(page, i, i+1)
			}
		}
		pages[p] = page
	}
}

// edges returns the indices of the topmost and the lowest line.
func edges(page []line) []int {
	if len(page) < 2 {
		return nil
	}
	top, low := 0, 0
	for i, l := range page {
		if l.top > page[top].top {
			top = i
		}
		if l.bottom < page[low].bottom {
			low = i
		}
	}
	if top == low {
		return nil
	}
	return []int{top, low}
}

// mask replaces the numbers of a line.
func mask(s string) string {
	var b strings.Builder
	digit := false
	for _, r := range s {
		if !unicode.IsDigit(r) {
			b.WriteRune(r)
		} else if !digit {
			b.WriteByte('0')
		}
		digit = unicode.IsDigit(r)
	}
	return b.String()
}
