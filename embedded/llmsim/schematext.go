package llmsim

import (
	"fmt"
	"math/rand/v2"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxRepeats is the most repeats drawn of a part of a pattern that may have
	// any number.
	maxRepeats = 4
	// patternTries bounds the draws for a pattern that also limits the length.
	patternTries = 100
	// maxFieldRunes bounds a free text.
	maxFieldRunes = 400
)

var (
	uuidPattern     = regexp.MustCompile(`(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	durationPattern = regexp.MustCompile(`^P(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?)$`)
	hostPattern     = regexp.MustCompile(`(?i)^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$`)
)

// str makes a string of s: the answer, what the text says about the field, a
// word of the text in the right format, else one that is drawn.
func (f *filler) str(s *schema, name string) (string, error) {
	pattern, err := regexp.Compile(s.Pattern)
	if err != nil {
		return "", err
	}
	fits := func(text string) bool {
		n := utf8.RuneCountInString(text)
		return n >= s.MinLength && (s.MaxLength == nil || n <= *s.MaxLength) && pattern.MatchString(text) && hasFormat(s.Format, text)
	}
	candidates := f.from.texts(name)
	if s.Format != "" || s.Pattern != "" {
		candidates = append(f.from.words(), candidates...)
	}
	for _, text := range candidates {
		if fits(text) {
			f.from.use(text)
			return text, nil
		}
	}
	for range patternTries {
		if text := f.draw(s, name); fits(text) {
			return text, nil
		}
	}
	return "", fmt.Errorf("'%s' has no text found for its pattern, format and length", name)
}

// draw makes a string without the text's help.
func (f *filler) draw(s *schema, name string) string {
	if s.Pattern != "" {
		if tree, err := syntax.Parse(s.Pattern, syntax.Perl); err == nil {
			var b strings.Builder
			writeMatch(&b, tree, f.rnd)
			return b.String()
		}
	}
	if text, ok := drawFormat(s.Format, f.rnd); ok {
		return text
	}
	text := strings.TrimSpace(name)
	if text == "" {
		text = "text"
	}
	for utf8.RuneCountInString(text) < s.MinLength {
		text += " " + text
	}
	most := maxFieldRunes
	if s.MaxLength != nil {
		most = *s.MaxLength
	}
	if runes := []rune(text); len(runes) > max(most, s.MinLength) {
		text = string(runes[:max(most, s.MinLength)])
	}
	return text
}

// hasFormat reports whether text has the format; an unknown one is a remark.
func hasFormat(format, text string) bool {
	var err error
	switch format {
	case "date-time":
		_, err = time.Parse(time.RFC3339, text)
	case "date":
		_, err = time.Parse(time.DateOnly, text)
	case "time":
		_, err = time.Parse("15:04:05Z07:00", text)
	case "duration":
		return durationPattern.MatchString(text) && !strings.HasSuffix(text, "P") && !strings.HasSuffix(text, "T")
	case "email":
		var a *mail.Address
		a, err = mail.ParseAddress(text)
		return err == nil && a.Address == text
	case "hostname":
		return len(text) < 254 && hostPattern.MatchString(text)
	case "ipv4", "ipv6":
		var a netip.Addr
		a, err = netip.ParseAddr(text)
		return err == nil && a.Is4() == (format == "ipv4") && a.Zone() == ""
	case "uuid":
		return uuidPattern.MatchString(text)
	case "uri":
		var u *url.URL
		u, err = url.Parse(text)
		return err == nil && u.IsAbs() && (u.Host != "" || u.Opaque != "")
	}
	return err == nil
}

// drawFormat draws a text of a known format.
func drawFormat(format string, rnd *rand.Rand) (string, bool) {
	const century = 36_525 // days from 1970 that are drawn from
	at := time.Unix(0, 0).UTC().AddDate(0, 0, rnd.IntN(century)).Add(time.Duration(rnd.IntN(86_400)) * time.Second)
	a, b := rnd.Uint64(), rnd.Uint64()
	switch format {
	case "date-time":
		return at.Format(time.RFC3339), true
	case "date":
		return at.Format(time.DateOnly), true
	case "time":
		return at.Format("15:04:05Z07:00"), true
	case "duration":
		return fmt.Sprintf("PT%dM", 1+a%600), true
	case "email":
		return fmt.Sprintf("user%d@example.com", a%10_000), true
	case "hostname":
		return fmt.Sprintf("host%d.example.com", a%10_000), true
	case "ipv4":
		return fmt.Sprintf("192.0.2.%d", a%256), true
	case "ipv6":
		return fmt.Sprintf("2001:db8::%x", 1+a%0xffff), true
	case "uuid":
		return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>52, b&0xffff_ffff_ffff), true
	case "uri":
		return fmt.Sprintf("https://example.com/%d", a%10_000), true
	}
	return "", false
}

// writeMatch writes a text that the pattern accepts; what depends on the place
// (word borders) is left to the check afterwards.
func writeMatch(b *strings.Builder, t *syntax.Regexp, rnd *rand.Rand) {
	switch t.Op {
	case syntax.OpLiteral:
		b.WriteString(string(t.Rune))
	case syntax.OpCharClass:
		b.WriteRune(runeOf(t.Rune, rnd))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteRune(rune('a' + rnd.IntN(26)))
	case syntax.OpCapture, syntax.OpConcat:
		for _, part := range t.Sub {
			writeMatch(b, part, rnd)
		}
	case syntax.OpAlternate:
		writeMatch(b, t.Sub[rnd.IntN(len(t.Sub))], rnd)
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		low, high := repeats(t)
		for range low + rnd.IntN(high-low+1) {
			writeMatch(b, t.Sub[0], rnd)
		}
	}
}

// repeats returns how often a part may be drawn.
func repeats(t *syntax.Regexp) (low, high int) {
	switch t.Op {
	case syntax.OpStar:
		return 0, maxRepeats
	case syntax.OpPlus:
		return 1, maxRepeats
	case syntax.OpQuest:
		return 0, 1
	}
	if t.Max < 0 {
		return t.Min, t.Min + maxRepeats
	}
	return t.Min, t.Max
}

// runeOf draws from pairs of first and last characters, printable ASCII first.
func runeOf(pairs []rune, rnd *rand.Rand) rune {
	var plain []rune
	for i := 0; i+1 < len(pairs); i += 2 {
		if low, high := max(pairs[i], ' '), min(pairs[i+1], '~'); low <= high {
			plain = append(plain, low, high)
		}
	}
	if len(plain) > 0 {
		pairs = plain
	}
	if len(pairs) == 0 {
		return utf8.RuneError
	}
	at := 2 * rnd.IntN(len(pairs)/2)
	return pairs[at] + rune(rnd.IntN(int(pairs[at+1]-pairs[at])+1))
}
