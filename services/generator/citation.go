package generator

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/weir-dev/weir/pkg/event"
)

// marker is a citation in an answer: [1] or [1, 2].
var marker = regexp.MustCompile(`\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]`)

var number = regexp.MustCompile(`\d+`)

// citations lists the sources that text cites, by number. A number that was
// never in the prompt cites nothing.
func citations(text string, sources []event.Source) []event.Source {
	cited := map[int]bool{}
	for _, m := range marker.FindAllStringSubmatch(text, -1) {
		for _, digits := range number.FindAllString(m[1], -1) {
			n, err := strconv.Atoi(digits)
			if err == nil {
				cited[n] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(sources), func(s event.Source) bool { return !cited[s.Number] })
}
