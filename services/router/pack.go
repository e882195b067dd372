package router

import (
	"cmp"
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// source is a run of text of one document that the model is shown: one passage,
// or neighbours that were all found.
type source struct {
	passage
	rank int // of its best passage, from 0
	text string
	end  int      // byte offset in the document
	last int      // position of its last chunk
	size int      // tokens of its text
	ids  []string // of its chunks
}

// pack makes the sources of a prompt out of passages, best first: doubles are left
// out, neighbours joined, and what is over limit tokens is left out, the worst
// first, but never all of it. The best ones come to stand at both ends, where
// models read best (Liu et al., Lost in the Middle, 2023).
func pack(passages []passage, limit int) []source {
	sources := join(distinct(passages))
	left := limit
	for i, s := range sources {
		if left -= s.size + markup(&s.Chunk); left < 0 && i > 0 {
			sources = sources[:i]
			break
		}
	}
	return bothEnds(sources)
}

// distinct leaves out passages with the content of a better one.
func distinct(passages []passage) []passage {
	seen := map[string]bool{"": true}
	return slices.DeleteFunc(slices.Clone(passages), func(p passage) bool {
		double := seen[p.ID] || p.Chunk.Hash != "" && seen[p.Chunk.Hash]
		seen[p.ID], seen[p.Chunk.Hash] = true, true
		return double
	})
}

// join makes sources, the best first; passages that follow one another in their
// document are one.
func join(passages []passage) []source {
	inOrder := make([]source, len(passages))
	for i, p := range passages {
		inOrder[i] = source{
			passage: p, rank: i, text: header(p.Chunk.Prefix) + p.Chunk.Text, end: p.Ref.End, last: p.Position,
			size: p.Chunk.Tokens + escapes(p.Chunk.Text), ids: []string{p.ID},
		}
	}
	slices.SortStableFunc(inOrder, func(a, b source) int {
		return cmp.Or(strings.Compare(a.Chunk.Document, b.Chunk.Document), cmp.Compare(a.Position, b.Position))
	})
	var out []source
	for _, s := range inOrder {
		if n := len(out); n > 0 && out[n-1].follows(&s) {
			out[n-1].add(&s)
			continue
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b source) int { return cmp.Compare(a.rank, b.rank) })
	return out
}

// sourceTokens is about what the markup of a source takes without its attributes.
const sourceTokens = 20

// markup is about how many tokens the element of a chunk takes beside the text.
// The section is counted with the text: it is in the prefix.
func markup(c *vector.Chunk) int { return sourceTokens + len(c.Source)/3 }

// escapes is about how many tokens the entities in an escaped text take.
func escapes(text string) int {
	return 2 * (strings.Count(text, "<") + strings.Count(text, ">") + strings.Count(text, "&"))
}

// header returns the part of a chunk's prefix that is text of the document: the
// header of a table that was cut before the chunk.
func header(prefix string) string {
	if _, rest, ok := strings.Cut(prefix, "\n\n"); ok { // behind title and headings
		return rest
	}
	return prefix
}

// follows reports whether next is the chunk after s.
func (s *source) follows(next *source) bool {
	return s.Chunk.Document == next.Chunk.Document && s.last+1 == next.Position && s.Version == next.Version &&
		next.Ref.Overlap <= len(next.Chunk.Text) && slices.Equal(s.Chunk.Section, next.Chunk.Section)
}

// add joins the chunk after s to it.
func (s *source) add(next *source) {
	s.text += gap(s.end, next.Ref.Start) + next.Chunk.Text[next.Ref.Overlap:]
	s.end, s.last, s.size = next.end, next.last, s.size+next.size
	s.ids = append(s.ids, next.ids...)
	s.rank = min(s.rank, next.rank)
	s.Score = max(s.Score, next.Score)
}

// gap stands for the white space between two chunks, of which neither holds any.
func gap(end, start int) string { return strings.Repeat("\n", max(0, min(start-end, 2))) }

// bothEnds puts the second best last, the third best second, and so on.
func bothEnds(sources []source) []source {
	out := make([]source, len(sources))
	front, back := 0, len(sources)-1
	for i, s := range sources {
		if i%2 == 0 {
			out[front] = s
			front++
		} else {
			out[back] = s
			back--
		}
	}
	return out
}

// numbered lists the sources as they are numbered in the prompt.
func numbered(sources []source) []event.Source {
	out := make([]event.Source, len(sources))
	for i, s := range sources {
		out[i] = s.event(i + 1)
		out[i].Text, out[i].End = s.text, s.end
	}
	return out
}

// event is the passage as others are told of it.
func (p *passage) event(number int) event.Source {
	return event.Source{
		Number: number, Document: p.Chunk.Document, Source: p.Chunk.Source, Title: p.Chunk.Title, Section: p.Chunk.Section,
		Score: p.Score, Chunk: p.ID, Version: p.Version, Start: p.Ref.Start, End: p.Ref.End, Page: p.Ref.Page, Text: p.Chunk.Text,
	}
}
