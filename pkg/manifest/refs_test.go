package manifest_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
)

func TestID(t *testing.T) {
	t.Parallel()
	want := event.ChunkID("acme", "docs", "d1", "text", 0)
	id, err := manifest.ParseID(want)
	if err != nil || id.String() != want {
		t.Errorf("%s became %s, %v", want, id, err)
	}
	for _, wrong := range []string{"", "d1", want + "00", want[:34], strings.Replace(want, want[:1], "x", 1), " " + want} {
		if id, err := manifest.ParseID(wrong); err == nil || !strings.Contains(err.Error(), "no UUID") {
			t.Errorf("%q became %s, %v", wrong, id, err)
		}
	}
}

// randomRefs are places as chunkers make them: in order, but for pages and
// overlaps of any size.
func randomRefs(rng *rand.Rand) manifest.Refs {
	refs := manifest.Refs{}
	at := 0
	for range rng.IntN(50) {
		r := manifest.Ref{ID: randomID(rng), Start: at, End: at + rng.IntN(1<<rng.IntN(30)), Overlap: rng.IntN(1 << 10), Page: rng.IntN(1 << rng.IntN(20))}
		refs = append(refs, r)
		at = max(0, r.End-rng.IntN(1<<rng.IntN(12))) // the next overlaps, or steps back
	}
	return refs
}

func randomID(rng *rand.Rand) (id manifest.ID) {
	for i := range id {
		id[i] = byte(rng.Uint32())
	}
	return id
}

// TestListsComeBack: any list of places or points is the same after JSON.
func TestListsComeBack(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		refs := randomRefs(rng)
		if got := again(t, refs); !slices.Equal(got, refs) {
			t.Fatalf("seed %d: places %+v\nbecame %+v", seed, refs, got)
		}
		if got := again(t, refs.IDs()); !slices.Equal(got, refs.IDs()) {
			t.Fatalf("seed %d: points %v\nbecame %v", seed, refs.IDs(), got)
		}
		if len(refs.Set()) != len(refs) || len(refs.IDs().Strings()) != len(refs) {
			t.Fatalf("seed %d: %d places, %d ids", seed, len(refs), len(refs.Set()))
		}
	}
}

func again[T any](t *testing.T, v T) (got T) {
	t.Helper()
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestPlacesAreShort: the figure that the documentation and the limit of a
// document's chunks rely on.
func TestPlacesAreShort(t *testing.T) {
	t.Parallel()
	var refs manifest.Refs
	for n := range 1000 {
		refs = append(refs, manifest.Ref{ID: number(n), Start: 1000 * n, End: 1000*n + 1150, Overlap: 150, Page: 1 + n/3})
	}
	data, err := json.Marshal(refs)
	if err != nil || len(data) > 34*len(refs) {
		t.Errorf("%d bytes for %d chunks (%v), want at most 34 each", len(data), len(refs), err)
	}
}

func TestBrokenLists(t *testing.T) {
	t.Parallel()
	whole, err := json.Marshal(manifest.Refs{{ID: number(1), Start: 300, End: 1300, Overlap: 200, Page: 500}})
	if err != nil {
		t.Fatal(err)
	}
	var packed []byte
	if err := json.Unmarshal(whole, &packed); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(packed); n++ {
		part, err := json.Marshal(packed[:n])
		if err != nil {
			t.Fatal(err)
		}
		var refs manifest.Refs
		if err := json.Unmarshal(part, &refs); err == nil {
			t.Errorf("%d of %d bytes became %+v", n, len(packed), refs)
		}
		var ids manifest.IDs
		if err := json.Unmarshal(part, &ids); (err == nil) != (n%16 == 0) {
			t.Errorf("%d bytes became %v, %v", n, ids, err)
		}
	}
	for _, wrong := range []string{`"!"`, `7`, `{}`, `["AAAA"]`} {
		var refs manifest.Refs
		var ids manifest.IDs
		if json.Unmarshal([]byte(wrong), &refs) == nil || json.Unmarshal([]byte(wrong), &ids) == nil {
			t.Errorf("%s became %v, %v", wrong, refs, ids)
		}
	}
}

// FuzzRefs: what can be read at all is the same when it is written and read
// again, and nothing breaks the reader.
func FuzzRefs(f *testing.F) {
	for seed := range uint64(4) {
		refs := randomRefs(rand.New(rand.NewPCG(seed, 1)))
		data, err := json.Marshal(refs)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`null`))
	f.Add([]byte(`"AAAAAAAAAAAAAAAAAAAAAf///////////wEAAAA="`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var refs manifest.Refs
		if json.Unmarshal(data, &refs) == nil {
			if got := again(t, refs); !slices.Equal(got, refs) {
				t.Errorf("%s: %+v became %+v", data, refs, got)
			}
		}
		var ids manifest.IDs
		if json.Unmarshal(data, &ids) == nil {
			if got := again(t, ids); !slices.Equal(got, ids) {
				t.Errorf("%s: %v became %v", data, ids, got)
			}
		}
	})
}
