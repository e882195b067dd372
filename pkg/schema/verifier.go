package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Regexp reports a text that re does not match. Anchor it to check the whole.
func Regexp(text string, re *regexp.Regexp) []Violation {
	if re.MatchString(text) {
		return nil
	}
	return []Violation{{Keyword: "regexp", Message: fmt.Sprintf("%s does not match %s", shown(text), shown(re.String()))}}
}

// Enum reports a text that is none of the values, but for white space around it.
func Enum(text string, allowed []string) []Violation {
	text = strings.TrimSpace(text)
	if slices.Contains(allowed, text) {
		return nil
	}
	return []Violation{{Keyword: "enum", Message: fmt.Sprintf("is %s, want one of %s", shown(text), names(allowed))}}
}

// JSON reports a text that is not one JSON value, read as [Schema.Check] reads it.
func JSON(text string) []Violation {
	_, _, v := unwrap(text)
	if v == nil {
		return nil
	}
	return []Violation{*v}
}
