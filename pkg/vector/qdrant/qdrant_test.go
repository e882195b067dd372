package qdrant

import (
	"strings"
	"testing"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

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
	small := &pb.PointStruct{Id: pb.NewIDNum(1)}
	big := &pb.PointStruct{Payload: map[string]*pb.Value{"t": pb.NewValueString(strings.Repeat("x", 5<<20))}}
	huge := &pb.PointStruct{Payload: map[string]*pb.Value{"t": pb.NewValueString(strings.Repeat("x", 9<<20))}}
	many := make([]*pb.PointStruct, 600)
	for i := range many {
		many[i] = small
	}
	for name, tt := range map[string]struct {
		in   []*pb.PointStruct
		want []int
	}{
		"none":           {nil, nil},
		"one":            {many[:1], []int{1}},
		"by number":      {many, []int{256, 256, 88}},
		"by size":        {[]*pb.PointStruct{big, small, big, big}, []int{2, 1, 1}},
		"one over limit": {[]*pb.PointStruct{small, huge, small}, []int{1, 1, 1}},
	} {
		got := batches(tt.in)
		if len(got) != len(tt.want) {
			t.Errorf("%s: %d batches, want %v", name, len(got), tt.want)
			continue
		}
		for i, b := range got {
			if len(b) != tt.want[i] {
				t.Errorf("%s: batch %d has %d points, want %d", name, i, len(b), tt.want[i])
			}
		}
	}
}

func TestThreshold(t *testing.T) {
	t.Parallel()
	if threshold(0) != nil {
		t.Error("a minimum of 0 must keep negative scores too")
	}
	for _, s := range []float32{0.5, -0.5, 1} {
		if got := threshold(s); *got >= s || *got < s-1e-6 {
			t.Errorf("threshold of %v is %v, want just below", s, *got)
		}
	}
}

func TestPayloadOfAnotherProgram(t *testing.T) {
	t.Parallel()
	c := decodeChunk(pb.NewValueMap(map[string]any{
		keyText: 7, keyVersion: "x", keySection: "not a list", keyCreated: "yesterday", keyMetadata: []any{1}, keyPosition: 3,
	}))
	if c.Text != "" || c.Version != 0 || c.Section != nil || !c.Created.IsZero() || c.Metadata != nil || c.Position != 3 {
		t.Errorf("chunk %+v, want only the position", c)
	}
	if size := proto.Size(&pb.Struct{Fields: encodeChunk(vector.Scope{Tenant: "t", Collection: "c"}, vector.Chunk{Document: "d"})}); size > 200 {
		t.Errorf("an empty chunk takes %d bytes", size)
	}
}
