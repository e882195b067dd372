package llmsim

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// directiveHeader and metadata.sim tell the simulator what to answer:
// "mode=text;text=Hello%20there". Values are percent-encoded.
const directiveHeader = "X-Sim"

// The modes of a directive.
const (
	modeEcho    = "echo"    // the last message as it is
	modeText    = "text"    // the value of text
	modeWords   = "words"   // n tokens of filler
	modeRefuse  = "refuse"  // a refusal, with text if given
	modeUnknown = "unknown" // that the context doesn't say
	modeRight   = "right"   // the usual answer of a model that knows
	modeWrong   = "wrong"   // that of a model that errs
)

// usualRefusal is a refusal without a text of its own.
const usualRefusal = "I'm sorry, I can't assist with that request."

// directive is what a request orders; the zero value orders nothing.
type directive struct {
	mode string
	text string
	n    int
}

// parseDirective reads "key=value;..." and names the wrong part.
func parseDirective(source string) (directive, error) {
	var d directive
	for part := range strings.SplitSeq(source, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		value, err := url.PathUnescape(value)
		switch {
		case key == "":
			continue
		case err != nil:
			return d, invalid(directiveHeader, "invalid_value", "Invalid '%s': %v in %q.", directiveHeader, err, part)
		case key == "mode":
			d.mode = value
		case key == "text":
			d.text = value
		case key == "n":
			if d.n, err = strconv.Atoi(value); err != nil || d.n < 1 {
				return d, invalid(directiveHeader, "invalid_value", "Invalid '%s': n is %q, expected a number of at least 1.", directiveHeader, value)
			}
		default:
			return d, invalid(directiveHeader, "invalid_value", "Invalid '%s': unknown key %q, expected mode, text or n.", directiveHeader, key)
		}
	}
	return d, d.check(source)
}

func (d directive) check(source string) error {
	modes := []string{modeEcho, modeText, modeWords, modeRefuse, modeUnknown, modeRight, modeWrong}
	switch {
	case strings.TrimSpace(source) != "" && !slices.Contains(modes, d.mode):
		return invalid(directiveHeader, "invalid_value", "Invalid '%s': mode is %q, expected one of %s.", directiveHeader, d.mode, strings.Join(modes, ", "))
	case d.mode == modeWords && d.n == 0:
		return invalid(directiveHeader, "invalid_value", "Invalid '%s': mode=words wants n, as in mode=words;n=100.", directiveHeader)
	}
	return nil
}

// directed returns the draft that a directive orders, if it orders one.
func (s *Server) directed(q *chatRequest) (draft, bool) {
	switch d := q.directive; d.mode {
	case modeEcho:
		return draft{text: q.Messages[len(q.Messages)-1].Content.text, right: true}, true
	case modeText:
		return draft{text: d.text, right: true}, true
	case modeWords:
		n := min(d.n, s.cfg.ContextTokens)
		return draft{text: s.cutAtTokens(strings.TrimSpace(strings.Repeat(" word", n+1)), n), right: true}, true
	case modeRefuse:
		if d.text == "" {
			d.text = usualRefusal
		}
		return draft{refusal: d.text, right: true}, true
	case modeUnknown:
		return draft{text: unknownAnswer, right: true}, true
	}
	return draft{}, false
}
