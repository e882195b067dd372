package batch

import (
	"context"
	"fmt"
	"math/bits"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/weir-dev/weir/pkg/event"
)

// outcome is what Embed returned.
type outcome struct {
	vectors [][]float32
	usage   int
	err     error
}

// all embeds documents at once, in order.
func all(t *testing.T, b *Batcher, documents ...[]Text) []outcome {
	t.Helper()
	out := make([]outcome, len(documents))
	var under sync.WaitGroup
	for i, list := range documents {
		under.Go(func() {
			o := &out[i]
			o.vectors, o.usage, o.err = b.Embed(t.Context(), call(event.LaneBatch), list)
		})
		synctest.Wait()
	}
	under.Wait()
	return out
}

// TestPoisonedDocumentFailsAlone: the others of its call succeed, and so do its
// other texts; the error names the text.
func TestPoisonedDocumentFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{embed: poisoned}
		b := batching(t, p, func(c *Config) { c.Items = 8 })
		got := all(t, b, texts("a1", "a2"), append(texts("b1", "b2", "b3"), Text{Text: "poison", Name: "chunk 9"}), texts("c1", "c2"))
		for _, i := range []int{0, 2} {
			if o := got[i]; o.err != nil || o.usage != 2 || o.vectors[0] == nil || o.vectors[1] == nil {
				t.Errorf("document %d: %+v", i, o)
			}
		}
		bad := got[1]
		if e := event.AsError(bad.err); e == nil || e.Class != event.ClassInvalid || e.Message != "chunk 9: input too long" || e.Hint != "send less" {
			t.Errorf("error %v, want invalid with the chunk's name", bad.err)
		}
		if bad.usage != 3 || bad.vectors[0] == nil || bad.vectors[2] == nil || bad.vectors[3] != nil {
			t.Errorf("vectors %v, %d tokens; want the other three", bad.vectors, bad.usage)
		}
	})
}

// TestDividingIsBounded: one bad text of many costs two calls per halving, and a
// document that is bad all over about as much.
func TestDividingIsBounded(t *testing.T) {
	t.Parallel()
	const n = 256
	for _, tc := range []struct {
		name      string
		documents int
		bad       func(i int) bool
		most      int
	}{
		{"one of a document", 1, func(i int) bool { return i == 77 }, 1 + 2*bits.Len(n-1)},
		{"two of a document", 1, func(i int) bool { return i == 77 || i == 200 }, 1 + 2*bits.Len(n-1)},
		{"all of a document", 1, func(int) bool { return true }, 1 + 2*bits.Len(n-1)},
		{"one document", n, func(i int) bool { return i == 77 }, 1 + 2*bits.Len(n-1)},
		{"all documents", n, func(int) bool { return true }, 2 * n},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &provider{embed: poisoned}
				b := batching(t, p, func(c *Config) { c.Items = n })
				documents := make([][]Text, tc.documents)
				for i := range n {
					text := fmt.Sprint("text", i)
					if tc.bad(i) {
						text = fmt.Sprint("poison", i)
					}
					documents[i%tc.documents] = append(documents[i%tc.documents], Text{Text: text})
				}
				for d, o := range all(t, b, documents...) {
					bad := false
					for _, text := range documents[d] {
						bad = bad || strings.Contains(text.Text, "poison")
					}
					if (o.err != nil) != bad {
						t.Errorf("document %d: error %v, want %v", d, o.err, bad)
					}
				}
				if calls := len(p.sent()); calls > tc.most {
					t.Errorf("%d calls, want at most %d", calls, tc.most)
				}
			})
		})
	}
}

// TestSharedTroubleIsNotRepeated: what is not the texts' fault must not be asked
// again for each.
func TestSharedTroubleIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, trouble := range []*event.Error{
		event.Errorf(event.ClassThrottled, "slow down"), event.Errorf(event.ClassUnavailable, "down"), event.Errorf(event.ClassAuth, "who?"),
		event.Errorf(event.ClassQuota, "no credit"), event.Invalid("model", "", "no such model"), event.Errorf(event.ClassInternal, "oh"),
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &provider{embed: func(context.Context, []string) error { return trouble }}
			b := batching(t, p, func(c *Config) { c.Items = 4 })
			for _, o := range all(t, b, texts("a", "b"), texts("c", "d")) {
				if e := event.AsError(o.err); e != trouble {
					t.Errorf("error %v, want %v", o.err, trouble)
				}
			}
			if n := len(p.sent()); n != 1 {
				t.Errorf("%s: %d calls, want 1", trouble.Class, n)
			}
		})
	}
}

// TestFailedCallAlone: of a document over several calls, the others' vectors and
// tokens are kept.
func TestFailedCallAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{embed: func(_ context.Context, inputs []string) error {
			if inputs[0] == "t2" {
				return event.Errorf(event.ClassUnavailable, "down")
			}
			return nil
		}}
		b := batching(t, p, func(c *Config) { c.Items = 2 })
		vectors, usage, err := b.Embed(t.Context(), call(event.LaneBatch), numbered("t", 6))
		if event.AsError(err).Class != event.ClassUnavailable || usage != 4 {
			t.Errorf("%d tokens, error %v; want 4 and unavailable", usage, err)
		}
		for i, v := range vectors {
			if (v == nil) != (i == 2 || i == 3) {
				t.Errorf("vector %d is %v", i, v)
			}
		}
	})
}
