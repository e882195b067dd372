package pdfium

import (
	"strings"
	"testing"
)

// body makes lines of 10 points below each other from y down.
func body(y float64, texts ...string) []line {
	var out []line
	for i, text := range texts {
		bottom := y - 12*float64(i)
		out = append(out, line{text: text, left: 50, right: 50 + 5*float64(len(text)), bottom: bottom, top: bottom + 10, size: 10})
	}
	return out
}

func at(l line, change func(*line)) line {
	change(&l)
	return l
}

func TestPageText(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("words of a line ", 4)
	two := body(700, long, long)
	tests := []struct {
		name string
		page []line
		want string
	}{
		{"one paragraph", two, long + "\n" + long},
		{"a gap", append(body(700, long, long, long), body(650, long)...), long + "\n" + long + "\n" + long + "\n\n" + long},
		{"an indent", append(body(700, long+"."), at(body(688, long)[0], func(l *line) { l.left += 12; l.right += 12 })), long + ".\n\n" + long},
		{"a short last line", body(700, long, "ends here.", "Next"), long + "\nends here.\n\nNext"},
		{"a column runs on", append(body(100, long), body(700, "lower case")...), long + "\nlower case"},
		{"a column begins anew", append(body(100, long), body(700, "Upper case")...), long + "\n\nUpper case"},
		{"one line in two pieces", append(body(700, "left"), at(body(700, "right")[0], func(l *line) { l.left = 300 })), "left\nright"},
		{"a footnote mark", append(body(700, long), append([]line{{text: "1", left: 90, right: 93, bottom: 706, top: 712, size: 6}}, body(688, "goes on")...)...), long + "\n1\ngoes on"},
		{"a number sign is no heading", body(700, "# 5 is"), "\\# 5 is"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := pageText(tt.page); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestHeadings(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("words of a line ", 4)
	large := func(y, size float64, text string) line {
		return line{text: text, left: 50, right: 200, bottom: y, top: y + size, size: size}
	}
	bold := func(y float64, text string) line { return at(body(y, text)[0], func(l *line) { l.bold = true }) }
	page := []line{large(760, 20, "The Title"), large(738, 20, "in Two Lines"), large(700, 14, "Part One")}
	page = append(page, body(680, long, long, long, long, long, long, long, long, long, long, long, long)...)
	page = append(page, bold(500, "2.1 Method"))
	page = append(page, body(480, long, long, long, long, long, long, long)...)
	page = append(page, large(300, 14, "{no letter first"), large(280, 14, "A large sentence."))
	page = append(page, bold(200, "3 One"), bold(188, "4 Two"))
	got := layout([][]line{page})[0]
	for _, want := range []string{"# The Title in Two Lines\n\n## Part One\n\nwords", "\n\n### 2.1 Method\n\nwords", "\n\n{no letter first"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	if n := strings.Count(got, "# "); n != 3 {
		t.Errorf("%d headings in %q", n, got)
	}
}

func TestNumberedLevel(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{
		"1 Introduction": 2, "1. Introduction": 2, "3.1 Overview": 3, "3.1.2 Deep": 4, "12 Twelve": 2,
		"1 lower": 0, "150 Pages of It": 0, "2. A sentence ends.": 0, "Chapter 1": 0, "1.": 0, "": 0, "1 ": 0, "42 Management": 0,
	} {
		if got := numberedLevel(s); got != want {
			t.Errorf("%q: level %d, want %d", s, got, want)
		}
	}
}

func TestDropRepeated(t *testing.T) {
	t.Parallel()
	page := func(head, text, foot string) []line {
		return []line{body(780, head)[0], body(400, text)[0], body(20, foot)[0]}
	}
	pages := [][]line{page("Head", "one", "1"), page("Head", "two", "2"), page("Head", "three", "3"), page("Other", "four", "end")}
	dropRepeated(pages)
	var got []string
	for _, p := range pages {
		for _, l := range p {
			got = append(got, l.text)
		}
	}
	if s := strings.Join(got, " "); s != "one two three Other four end" {
		t.Errorf("left: %q", s)
	}
}

func TestPosterHasFewHeadings(t *testing.T) {
	t.Parallel()
	var page []line
	for i := range 20 {
		y := 700 - float64(30*i)
		page = append(page, line{text: "Large words", left: 50, right: 200, bottom: y, top: y + 12, size: 12})
		page = append(page, at(body(y-12, strings.Repeat("small text ", 4))[0], func(*line) {}))
	}
	page = append(page, line{text: "The Poster", left: 50, right: 300, bottom: 760, top: 790, size: 30})
	got := layout([][]line{page})[0]
	if strings.Count(got, "# ") != 1 || !strings.Contains(got, "# The Poster") {
		t.Errorf("got %q", got)
	}
}
