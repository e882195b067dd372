package chunk_test

import (
	"iter"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/chunk"
	"github.com/weir-dev/weir/pkg/tokens"
)

// counted counts the bytes a Counter is asked to walk and to split.
type counted struct {
	*tokens.Counter
	walked, split int
}

func (c *counted) Pieces(text string) iter.Seq2[int, int] {
	return func(yield func(end, tokens int) bool) {
		last := 0
		for end, n := range c.Counter.Pieces(text) {
			c.walked += end - last
			last = end
			if !yield(end, n) {
				return
			}
		}
	}
}

func (c *counted) Split(text string, limit int) []string {
	c.split += len(text)
	return c.Counter.Split(text, limit)
}

// TestWork holds the bytes counted to a multiple of the text's, for texts that
// take quadratic time elsewhere. A clock would judge the machine.
func TestWork(t *testing.T) {
	t.Parallel()
	const size = 200_000
	for name, part := range map[string]string{
		"prose":         "A sentence of some words, as there are many. ",
		"one line":      "words without an end ",
		"one word":      "a",
		"blanks":        " ",
		"blank lines":   "x\n \n",
		"headings":      "# h\n\n## i\n\n",
		"long headings": "# " + strings.Repeat("word ", 50) + "\n\nx\n\n",
		"deep":          strings.Repeat("#", 3) + " a heading of some length\n\nx. y. z.\n\n",
		"table":         "|a|b|\n|-|-|\n" + strings.Repeat("|1|2|\n", 500) + "\n",
		"code":          "```\n" + strings.Repeat("x = y;\n", 200) + "```\n\n",
		"cjk":           "漢字仮名交じり文",
		"sentences":     "次。",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &counted{Counter: counter(t)}
			doc := markdown(t, "x"+strings.Repeat(part, size/len(part)))
			if _, err := chunk.Split(doc, chunk.DefaultOptions(c)); err != nil {
				t.Fatal(err)
			}
			n := len(doc.Text)
			t.Logf("%.2f of the text walked, %.2f split", float64(c.walked)/float64(n), float64(c.split)/float64(n))
			if c.walked > 5*n || c.split > n {
				t.Errorf("%d bytes walked and %d split of a text of %d, want five and one times that at most", c.walked, c.split, n)
			}
		})
	}
}
