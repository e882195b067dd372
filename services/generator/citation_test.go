package generator

import (
	"slices"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
)

// TestCitationsAreChecked: a result has the sources that the answer cites, each with
// what supports it instead of its text, and the sentences that no source holds.
func TestCitationsAreChecked(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{ChatFunc: says("A weir raises the level of the river [1]. The moon circles the earth in 27 days [3].\n" +
		"Gravity was discovered by Newton [3]. Fish like ladders [9].")})
	task := ask("q1")
	task.Sources = []event.Source{
		{Number: 1, Document: "a", Source: "a.md", Title: "A", Section: []string{"One"}, Score: 0.7, Chunk: "c", Version: 3, Start: 10, End: 90, Page: 2,
			Text: "A weir is a low dam. It raises the level of the river upstream. Fish pass it by a ladder."},
		{Number: 2, Document: "b", Text: "Nothing of it."},
		{Number: 3, Document: "c", Text: "The moon circles the earth in 27 days. Its light is that of the sun."},
	}
	r.publish(task)
	answer := r.ok("q1").Answer
	if len(answer.Citations) != 2 {
		t.Fatalf("citations %+v, want those of 1 and 3", answer.Citations)
	}
	one, three := answer.Citations[0], answer.Citations[1]
	if one.Number != 1 || one.Quote != "It raises the level of the river upstream." || one.Support < 0.5 || one.Support > 1 {
		t.Errorf("citation %+v, want the sentence of source 1", one)
	}
	if one.Document != "a" || one.Source != "a.md" || one.Title != "A" || !slices.Equal(one.Section, []string{"One"}) || one.Score != 0.7 ||
		one.Chunk != "c" || one.Version != 3 || one.Start != 10 || one.End != 90 || one.Page != 2 {
		t.Errorf("citation %+v, want the source as it was", one)
	}
	if three.Number != 3 || three.Quote != "The moon circles the earth in 27 days." || three.Support != 1 {
		t.Errorf("citation %+v, want the sentence of source 3", three)
	}
	for _, c := range answer.Citations {
		if c.Text != "" {
			t.Errorf("citation %d has its whole text", c.Number)
		}
	}
	if want := []string{"Gravity was discovered by Newton."}; !slices.Equal(answer.Unsupported, want) {
		t.Errorf("unsupported %q, want %q", answer.Unsupported, want)
	}
}

// TestWithoutSourcesNothingIsCited: whatever looks like a marker.
func TestWithoutSourcesNothingIsCited(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{ChatFunc: says("As said in [1].")})
	task := ask("q1")
	task.Sources = nil
	r.publish(task)
	if got := r.ok("q1").Answer; len(got.Citations) != 0 || len(got.Unsupported) != 0 {
		t.Errorf("answer %+v, want no citations", got)
	}
}
