package parse

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/event"
)

// readPDF reads a PDF file by the reader of the input.
func (w *work) readPDF(ctx context.Context, data []byte) (content, error) {
	if w.pdf == nil {
		return content{}, event.Invalid(field, "send the text, or enable the PDF reader", "PDF files are not read here: no PDF reader is set")
	}
	pages, err := w.pdf.Pages(ctx, data, w.limits.MaxPages)
	if err != nil {
		return content{}, pdfError(err)
	}
	var c content
	j := joiner{words: wordsOf(pages)}
	for i, text := range pages {
		if err := ctx.Err(); err != nil {
			return content{}, err
		}
		j.page(i+1, cleanText(text))
	}
	j.flush()
	c.text, c.pages = j.out.b.String(), j.pages
	if strings.TrimSpace(c.text) == "" {
		return content{}, event.Invalid(field, "run OCR on it first and send the result",
			"PDF file has no text layer: its %d pages are images", len(pages))
	}
	return c, nil
}

// pdfError names the cause of a PDF file that can't be read.
func pdfError(err error) error {
	var pages *PagesError
	switch {
	case errors.As(err, &pages):
		return tooLarge(err, "%s", pages.Error())
	case errors.Is(err, ErrPassword):
		return &event.Error{Class: event.ClassInvalid, Field: field, Err: err,
			Message: "PDF file is protected by a password", Hint: "remove the password and send it again"}
	}
	return broken(err, "PDF file")
}

// joiner makes paragraphs of the wrapped lines of pages.
type joiner struct {
	out   writer
	pages []Page
	para  []byte          // the open paragraph
	from  int             // the page it begins on
	last  string          // its last line
	words map[string]bool // words of the document, in small letters
}

// page adds the lines of a page. A paragraph that ended in the middle of a
// sentence runs on from the page before.
func (j *joiner) page(number int, text string) {
	if !j.runsOn(firstLine(text)) {
		j.flush()
	}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			j.flush()
		case line[0] == '#' && isMarkup(line):
			j.flush()
			before := j.out.b.Len()
			rest := strings.TrimLeft(line, "#")
			j.out.heading(len(line)-len(rest), rest)
			j.wrote(number, before)
		default:
			j.line(number, line)
		}
	}
}

// runsOn reports whether the open paragraph goes on with line.
func (j *joiner) runsOn(line string) bool {
	return len(j.para) > 0 && line != "" && unicode.IsLower(firstRune(line)) && !strings.ContainsRune(".!?:", lastRune(j.last))
}

// firstLine returns the first line of text that isn't blank.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// line adds a line to the open paragraph. A word divided at the line end is
// joined; lines of scripts without blanks are joined without one; rows of
// numbers and list items stay lines.
func (j *joiner) line(number int, line string) {
	switch {
	case len(j.para) == 0:
		j.from = number
		j.para = append(j.para, line...)
	case strings.HasSuffix(j.last, softHyphen), isHyphenated(j.last, line):
		j.joinWord(line)
	case isListStart(line), isRow(line), isRow(j.last):
		j.para = append(j.para, "\n"+line...)
	case isWide(lastRune(j.last)) && isWide(firstRune(line)):
		j.para = append(j.para, line...)
	default:
		j.para = append(j.para, " "+line...)
	}
	j.last = line
}

// softHyphen ends a line within a word.
const softHyphen = "\u00ad"

// isHyphenated reports whether a word is divided between two lines: a letter
// and a hyphen, and a small letter on the next line.
func isHyphenated(last, next string) bool {
	body := strings.TrimSuffix(last, "-")
	return body != last && unicode.IsLetter(lastRune(body)) && unicode.IsLower(firstRune(next))
}

// joinWord adds a line whose first word is the rest of the last one.
func (j *joiner) joinWord(line string) {
	j.para = bytes.TrimSuffix(bytes.TrimSuffix(j.para, []byte(softHyphen)), []byte("-"))
	a := string(j.para[bytes.LastIndexAny(j.para, " \n")+1:])
	b, _, _ := strings.Cut(line, " ")
	if j.keepsHyphen(trimWord(a), trimWord(b)) {
		j.para = append(j.para, '-')
	}
	j.para = append(j.para, line...)
}

// keepsHyphen reports whether the halves of a divided word are those of a
// compound ("task-specific"): the document writes it so elsewhere, or it has
// both halves as words and the whole never.
func (j *joiner) keepsHyphen(a, b string) bool {
	switch {
	case j.words[a+"-"+b]:
		return true
	case j.words[a+b]:
		return false
	}
	return len(a) > 3 && len(b) > 3 && j.words[a] && j.words[b] // not "with-out"
}

// wordsOf returns the words of pages that are not divided.
func wordsOf(pages []string) map[string]bool {
	words := map[string]bool{}
	for _, page := range pages {
		for line := range strings.Lines(page) {
			fields := strings.Fields(line)
			if n := len(fields); n > 0 && (strings.HasSuffix(fields[n-1], "-") || strings.HasSuffix(fields[n-1], softHyphen)) {
				fields = fields[:n-1]
			}
			for _, f := range fields {
				words[trimWord(f)] = true
			}
		}
	}
	return words
}

// trimWord returns a word in small letters without the punctuation around it.
func trimWord(s string) string {
	return strings.ToLower(strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }))
}

// isRow reports whether a line is a row of a table: at least three fields, most
// of them numbers.
func isRow(line string) bool {
	fields, numbers := 0, 0
	for f := range strings.FieldsSeq(line) {
		fields++
		if strings.ContainsAny(f, "0123456789") && strings.Trim(f, "0123456789.,%$€£+-–()/Ee") == "" {
			numbers++
		}
	}
	return fields >= 3 && numbers*2 > fields
}

// isListStart reports whether a line begins with a bullet.
func isListStart(line string) bool {
	return isBullet(firstRune(line)) || strings.HasPrefix(line, "- ") || strings.HasPrefix(line, "– ")
}

// isWide reports whether words of the script aren't parted by blanks.
func isWide(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer) || r >= 0x3000 && r < 0x3040
}

func firstRune(s string) rune { r, _ := utf8.DecodeRuneInString(s); return r }

func lastRune(s string) rune { r, _ := utf8.DecodeLastRuneInString(s); return r }

// flush ends the open paragraph.
func (j *joiner) flush() {
	if len(j.para) == 0 {
		return
	}
	before := j.out.b.Len()
	j.out.paragraph(string(j.para))
	j.wrote(j.from, before)
	j.para = j.para[:0]
	j.last = ""
}

// wrote notes that a block of a page was written after the first before bytes.
func (j *joiner) wrote(number, before int) {
	end := j.out.b.Len()
	if end == before {
		return
	}
	if n := len(j.pages); n == 0 || j.pages[n-1].Number < number {
		if before > 0 {
			before += len("\n\n")
		}
		j.pages = append(j.pages, Page{Number: number, Start: before})
	}
	j.pages[len(j.pages)-1].End = end
}
