package qdrant

import (
	"slices"
	"strings"
	"testing"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/vector"
)

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cfg  Config
		want string // part of the error, "" for none
	}{
		{Config{Addr: "localhost:6334"}, ""},
		{Config{Addr: "[::1]:6334", PoolSize: 3, Timeout: time.Second}, ""},
		{Config{}, `Addr is ""`},
		{Config{Addr: "localhost"}, `Addr is "localhost"`},
		{Config{Addr: "localhost:0"}, "port"},
		{Config{Addr: "localhost:x"}, "port"},
		{Config{Addr: "h:1", PoolSize: 99}, "PoolSize is 99"},
		{Config{Addr: "h:1", Timeout: -1}, "Timeout is -1ns"},
	} {
		_, err := New(tt.cfg)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("config %+v: error %v, want %q", tt.cfg, err, tt.want)
		}
	}
}

func TestPhysicalName(t *testing.T) {
	t.Parallel()
	idx := func(model string) vector.Index { return vector.Index{Name: "docs", Model: model, Dimension: 384} }
	if got, want := physicalName(idx("all-minilm")), "docs_all-minilm_384"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	seen := map[string]string{}
	for _, model := range []string{"a/b", "a-b", "a:b", "a b", strings.Repeat("x", 300), strings.Repeat("x", 301), "模型"} {
		name := physicalName(idx(model))
		if other, ok := seen[name]; ok {
			t.Errorf("models %q and %q share the name %q", model, other, name)
		}
		seen[name] = model
		if len(name) > 255 || strings.ContainsAny(name, `/: <>"\|?*`) {
			t.Errorf("model %q: name %q is not legal", model, name)
		}
	}
}

func TestBatches(t *testing.T) {
	t.Parallel()
	text := func(mib int) vector.Point {
		return vector.Point{Chunk: vector.Chunk{Text: strings.Repeat("x", mib<<20)}}
	}
	many := make([]vector.Point, 600)
	for name, tt := range map[string]struct {
		in   []vector.Point
		want []int
	}{
		"none":           {nil, nil},
		"one":            {many[:1], []int{1}},
		"by number":      {many, []int{256, 256, 88}},
		"by size":        {[]vector.Point{text(5), text(0), text(5), text(5)}, []int{2, 1, 1}},
		"one over limit": {[]vector.Point{text(0), text(9), text(0)}, []int{1, 1, 1}},
	} {
		var got []int
		for _, b := range batches(vector.Scope{}, tt.in) {
			got = append(got, len(b.points))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: batches of %v points, want %v", name, got, tt.want)
		}
	}
}

func TestMetadataOfIndex(t *testing.T) {
	t.Parallel()
	for _, idx := range []vector.Index{
		{Name: "a_b", Model: "c", Dimension: 3}, {Name: "a", Model: "b_c", Dimension: 3}, {Name: "weir", Model: "モデル/x:1", Dimension: 65536},
	} {
		info := &pb.CollectionInfo{Config: &pb.CollectionConfig{Metadata: indexMetadata(idx)}}
		if got, ok := indexOf(info); !ok || got != idx {
			t.Errorf("index %+v reads back as %+v %v", idx, got, ok)
		}
	}
	if _, ok := indexOf(&pb.CollectionInfo{}); ok {
		t.Error("a collection without metadata passes for ours")
	}
}

func TestPayloadOfAnotherProgram(t *testing.T) {
	t.Parallel()
	c := decodeChunk(pb.NewValueMap(map[string]any{
		keyText: 7, keyVersion: "x", keySection: "not a list", keyCreated: "yesterday", keyMetadata: []any{1}, keyTokens: 3, keyACL: 5,
	}))
	if c.Text != "" || c.Version != 0 || c.Section != nil || !c.Created.IsZero() || c.Metadata != nil || c.ACL != nil || c.Tokens != 3 {
		t.Errorf("chunk %+v, want only the tokens", c)
	}
}

// TestFilterIsInEveryList: tenant, collection and ACL must hold in each prefetch
// by itself, whatever a server makes of the filter at the root.
func TestFilterIsInEveryList(t *testing.T) {
	t.Parallel()
	v := sparse.Vector{Indices: []uint32{1}, Values: []float32{1}}
	for _, fusion := range []vector.Fusion{"", vector.DBSF, vector.RRF} {
		q := vector.Query{
			Scope: vector.Scope{Tenant: "t", Collection: "c"}, Dense: []float32{1}, BM25: v, Grams: v, TopK: 3, Scores: true, Fusion: fusion,
			Weights: map[vector.List]float64{vector.BM25: 2},
			Filter:  vector.Filter{Readers: []string{"ann"}, Metadata: map[string]string{"k": "v"}, Documents: []string{"d"}},
		}
		lists, err := newLists(vector.Index{Name: "i", Model: "m", Dimension: 1}, q)
		if err != nil {
			t.Fatalf("lists: %v", err)
		}
		filter, err := readFilter(q.Scope, q.Filter)
		if err != nil {
			t.Fatalf("filter: %v", err)
		}
		var keys []string
		for _, c := range filter.GetMust() {
			keys = append(keys, c.GetField().GetKey())
		}
		if got := strings.Join(keys, " "); got != `tenant collection acl metadata."k" document` {
			t.Errorf("the filter is on %s", got)
		}
		n := 0
		for _, r := range newRequests("c", q, lists, filter) {
			filters := []*pb.Filter{r.GetFilter()}
			for _, p := range r.GetPrefetch() {
				filters = append(filters, p.GetFilter())
			}
			for _, f := range filters {
				n++
				if !proto.Equal(f, filter) {
					t.Errorf("fusion %q: a list has filter %v, want %v", fusion, f, filter)
				}
			}
		}
		if want := map[vector.Fusion]int{"": 8, vector.DBSF: 8, vector.RRF: 7}[fusion]; n != want {
			t.Errorf("fusion %q: %d filters, want %d", fusion, n, want)
		}
	}
}

func TestCheckID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"01234567-89ab-cdef-0123-456789abcdef": true, "01234567-89AB-cdef-0123-456789abcdef": false, "0123456789abcdef0123456789abcdef": false,
		"": false, "7": false, "01234567-89ab-cdef-0123-456789abcdeg": false, "{1234567-89ab-cdef-0123-456789abcdef": false,
	} {
		if err := checkID("id", id); (err == nil) != want {
			t.Errorf("id %q: error %v", id, err)
		}
	}
}
