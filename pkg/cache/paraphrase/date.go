package paraphrase

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	dayForm  = regexp.MustCompile(`^([1-9]|[12]\d|3[01])(st|nd|rd|th)?$`)
	yearForm = regexp.MustCompile(`^(1\d|20|21)\d\d$`)
	isoForm  = regexp.MustCompile(`^(\d{4})-(\d\d)-(\d\d)$`)
	timeForm = regexp.MustCompile(`^(\d{1,2})(?::(\d\d))?(am|pm|a\.m|p\.m)?$`)
)

// readDates gives dates and times one form: "March 5, 2024", "5th of March 2024"
// and "2024-03-05"; "5 pm" and "5:00pm". What is ambiguous, 03/04/2024 or 5:00,
// stays as it is.
func readDates(words []word) []word {
	out := make([]word, 0, len(words))
	for i := 0; i < len(words); {
		key, n := readDate(words[i:])
		if n == 0 {
			key, n = readTime(words[i:])
		}
		w := words[i]
		if n > 0 {
			w = join(words[i : i+n])
			w.key, w.kind = key, kindDate
		} else {
			w.key, n = cmp.Or(nameOfDate(words, i), w.key), 1
		}
		out = append(out, w)
		i += n
	}
	return out
}

// nameOfDate is the month or weekday that a word alone stands for, "" if none. Short
// forms are names and words, too: SAT, APR, Jan, "the sun".
func nameOfDate(words []word, i int) string {
	w, lex := words[i], lexicon()
	month, weekday := lex.months[w.key], lex.weekdays[w.key]
	switch {
	case w.kind != kindWord, month == 0 && weekday == "", w.key == "may":
		return ""
	case isShort(w) && !datesShort(words, i):
		return ""
	case month > 0:
		return fmt.Sprint("month ", month)
	}
	return weekday
}

// isShort reports whether a word is the short form of a month or weekday.
func isShort(w word) bool {
	if day := lexicon().weekdays[w.key]; day != "" {
		return day != w.key
	}
	return lexicon().months[w.key] > 0 && len(w.key) < 5 && w.key != "june" && w.key != "july" && w.key != "may"
}

// datesShort reports whether a short form stands where a date does: beside a number,
// or at the end of its clause behind "in" (a month) or "on" (a weekday).
func datesShort(words []word, i int) bool {
	w := words[i]
	weekday := lexicon().weekdays[w.key] != ""
	if w.raw == strings.ToUpper(w.raw) || weekday && !capital(w.raw) {
		return false
	}
	isNumber := func(i int) bool {
		return i >= 0 && i < len(words) && strings.ContainsAny(words[i].raw[:1], "0123456789")
	}
	if isNumber(i-1) && !words[i-1].pause || isNumber(i+1) {
		return true
	}
	before := map[bool]string{true: "on", false: "in"}[weekday]
	ends := i == len(words)-1 || w.pause || lexicon().markers[words[i+1].key]
	return i > 0 && words[i-1].key == before && ends && capital(w.raw)
}

// readDate reads a day of a month, with or without a year, in how many words.
func readDate(words []word) (key string, n int) {
	if m := isoForm.FindStringSubmatch(words[0].raw); m != nil {
		return "@" + m[1] + "-" + m[2] + "-" + m[3], 1
	}
	at := func(i int) string {
		if i >= len(words) {
			return ""
		}
		return words[i].raw
	}
	month := func(i int) int {
		if i >= len(words) || isShort(words[i]) && words[i].raw == strings.ToUpper(words[i].raw) {
			return 0
		}
		return lexicon().months[words[i].key]
	}
	day := func(i int) string {
		if m := dayForm.FindStringSubmatch(strings.ToLower(at(i))); m != nil {
			return m[1]
		}
		return ""
	}
	var d string
	var m int
	switch {
	case day(0) != "" && month(1) > 0:
		d, m, n = day(0), month(1), 2
	case day(0) != "" && at(1) == "of" && month(2) > 0:
		d, m, n = day(0), month(2), 3
	case month(0) > 0 && day(1) != "":
		d, m, n = day(1), month(0), 2
	default:
		return "", 0
	}
	number, _ := strconv.Atoi(d)
	if yearForm.MatchString(at(n)) {
		return fmt.Sprintf("@%s-%02d-%02d", at(n), m, number), n + 1
	}
	return fmt.Sprintf("@%02d-%02d", m, number), n
}

// readTime reads a time with am or pm, or after noon.
func readTime(words []word) (key string, n int) {
	m := timeForm.FindStringSubmatch(strings.ToLower(words[0].raw))
	if m == nil {
		return "", 0
	}
	half, n := m[3], 1
	if half == "" && len(words) > 1 && !words[0].pause {
		switch words[1].raw {
		case "am", "AM", "pm", "PM", "a.m", "p.m", "A.M", "P.M":
			half, n = strings.ToLower(words[1].raw), 2
		}
	}
	hour, _ := strconv.Atoi(m[1])
	switch {
	case half == "" && (m[2] == "" || hour < 13), half != "" && (hour < 1 || hour > 12), hour > 23:
		return "", 0
	case strings.HasPrefix(half, "p") && hour < 12:
		hour += 12
	case strings.HasPrefix(half, "a") && hour == 12:
		hour = 0
	}
	if m[2] == "" {
		m[2] = "00"
	}
	return fmt.Sprintf("@%02d:%s", hour, m[2]), n
}
