package router

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
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
		Ref: manifest.Ref{Start: 100*position - overlap, End: 100 * (position + 1), Overlap: overlap}, Version: 1, Position: position,
	}}
}

func noHash(p passage) passage {
	p.Chunk.Hash = ""
	return p
}

func prefixed(p passage, prefix string) passage {
	p.Chunk.Prefix = prefix
	return p
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
		{"neighbours are one, without what they share", []passage{at("a", 1, "b. c.", 2), at("x", 0, "x", 0), at("a", 0, "a. b.", 0)}, 1000, []string{"a. b. c.", "x"}},
		{"not neighbours", []passage{at("a", 0, "a", 0), at("a", 2, "c", 0)}, 1000, []string{"a", "c"}},
		{"three in a row", []passage{at("a", 2, "c", 0), at("a", 0, "a", 0), at("a", 1, "b", 0)}, 1000, []string{"abc"}},
		{"an overlap that is longer than its text", []passage{at("a", 0, "a", 0), at("a", 1, "b", 2)}, 1000, []string{"a", "b"}},
		{"the same chunk once", []passage{noHash(at("a", 0, "1", 0)), noHash(at("a", 0, "1", 0)), noHash(at("b", 0, "2", 0))}, 1000, []string{"1", "2"}},
		{"a row's table has its header", []passage{prefixed(at("a", 1, "| 2 |", 0), "T > S\n\n| h |\n")}, 1000, []string{"| h |\n| 2 |"}},
		{"but once", []passage{prefixed(at("a", 0, "| 1 |\n", 0), "| h |\n"), prefixed(at("a", 1, "| 2 |", 0), "| h |\n")}, 1000, []string{"| h |\n| 1 |\n| 2 |"}},
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

// TestWhatIsShownIsCounted: a long path, and markup that is escaped.
func TestWhatIsShownIsCounted(t *testing.T) {
	t.Parallel()
	plain, long, code := at("a", 0, "1", 0), at("b", 0, "2", 0), at("c", 0, strings.Repeat("<b>", 50), 0)
	long.Chunk.Source = "https://example.com/" + strings.Repeat("x", 600)
	for _, big := range []passage{long, code} {
		if got := pack([]passage{plain, big}, 2*(10+sourceTokens)+50); len(got) != 1 {
			t.Errorf("%d sources, want no room for %q of %q", len(got), big.Chunk.Text, big.Chunk.Source)
		}
	}
}

// TestJoinedIsTheDocument: whichever chunks are found, a source is the text of the
// document from its start to its end, but for white space.
func TestJoinedIsTheDocument(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		text := prose(rng)
		var found []passage
		for i, ref := range cut(rng, text) {
			if rng.IntN(4) > 0 {
				found = append(found, passage{Found: manifest.Found{Version: 1, Position: i, Ref: ref,
					Hit: vector.Hit{ID: fmt.Sprint(i), Chunk: vector.Chunk{Document: "d", Text: text[ref.Start:ref.End]}}}})
			}
		}
		rng.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
		for _, s := range numbered(pack(found, 1e6)) {
			if got, want := strings.Fields(s.Text), strings.Fields(text[s.Start:s.End]); !slices.Equal(got, want) {
				t.Fatalf("source\n got %q\nwant %q", got, want)
			}
		}
	}
}

// prose is words between blanks and newlines.
func prose(rng *rand.Rand) string {
	var b strings.Builder
	for range 10 + rng.IntN(60) {
		fmt.Fprintf(&b, "word%d%s", rng.IntN(1000), []string{" ", "\n", "\n\n", " \n \n"}[rng.IntN(4)])
	}
	return b.String()
}

// cut cuts prose between words, as pkg/chunk does: without white space at the ends,
// and with some words of the chunk before.
func cut(rng *rand.Rand, text string) manifest.Refs {
	words := regexp.MustCompile(`\S+`).FindAllStringIndex(text, -1)
	var refs manifest.Refs
	for from := 0; from < len(words); {
		to := min(from+1+rng.IntN(6), len(words))
		ref := manifest.Ref{Start: words[from][0], End: words[to-1][1]}
		if n := len(refs); n > 0 {
			ref.Overlap = max(0, refs[n-1].End-ref.Start)
		}
		refs = append(refs, ref)
		if from = to; to < len(words) && words[to-1][0] > ref.Start {
			from = to - rng.IntN(2)
		}
	}
	return refs
}
