package router

import (
	"fmt"
	"slices"
	"testing"

	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/vector"
)

// at is a passage of a document: the text of its position, after some overlap with
// the one before.
func at(document string, position int, text string, overlap int) passage {
	return passage{Found: manifest.Found{
		Hit: vector.Hit{ID: fmt.Sprint(document, position), Score: 1, Chunk: vector.Chunk{
			Document: document, Text: text, Hash: text, Tokens: 10}},
		Ref: manifest.Ref{Start: 100 * position, End: 100*position + len(text), Overlap: overlap}, Version: 1, Position: position,
	}}
}

func texts(sources []source) []string {
	var out []string
	for _, s := range sources {
		out = append(out, s.text)
	}
	return out
}

func TestPack(t *testing.T) {
	t.Parallel()
	const room = 10 + sourceTokens // of one passage
	for _, tc := range []struct {
		name  string
		found []passage
		limit int
		want  []string
	}{
		{"nothing", nil, 1000, nil},
		{"the best at both ends", []passage{at("a", 0, "1", 0), at("b", 0, "2", 0), at("c", 0, "3", 0), at("d", 0, "4", 0)}, 1000, []string{"1", "3", "4", "2"}},
		{"neighbours are one, without what they share", []passage{at("a", 1, "b. c.", 3), at("x", 0, "x", 0), at("a", 0, "a. b.", 0)}, 1000, []string{"a. b.c.", "x"}},
		{"not neighbours", []passage{at("a", 0, "a", 0), at("a", 2, "c", 0)}, 1000, []string{"a", "c"}},
		{"three in a row", []passage{at("a", 2, "c", 0), at("a", 0, "a", 0), at("a", 1, "b", 0)}, 1000, []string{"abc"}},
		{"equal text once", []passage{at("a", 0, "same", 0), at("b", 5, "same", 0), at("c", 0, "other", 0)}, 1000, []string{"same", "other"}},
		{"the worst are left out", []passage{at("a", 0, "1", 0), at("b", 0, "2", 0), at("c", 0, "3", 0)}, 2 * room, []string{"1", "2"}},
		{"but never all", []passage{at("a", 0, "1", 0), at("b", 0, "2", 0)}, 1, []string{"1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := pack(tc.found, tc.limit)
			if !slices.Equal(texts(got), tc.want) {
				t.Errorf("%q, want %q", texts(got), tc.want)
			}
			for i, s := range numbered(got) {
				if s.Number != i+1 || s.Text != got[i].text || s.End < s.Start {
					t.Errorf("source %+v of %+v", s, got[i])
				}
			}
		})
	}
}

// TestVersionsAreNotJoined: nor sections.
func TestVersionsAreNotJoined(t *testing.T) {
	t.Parallel()
	next := at("a", 1, "b", 0)
	next.Version = 2
	if got := pack([]passage{at("a", 0, "a", 0), next}, 1000); len(got) != 2 {
		t.Errorf("%q: two versions became one source", texts(got))
	}
	next = at("a", 1, "b", 0)
	next.Chunk.Section = []string{"Other"}
	if got := pack([]passage{at("a", 0, "a", 0), next}, 1000); len(got) != 2 {
		t.Errorf("%q: two sections became one source", texts(got))
	}
}
