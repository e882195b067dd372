package qdrantd_test

import (
	"context"
	"errors"
	"testing"

	pb "github.com/qdrant/go-client/qdrant"

	"github.com/weir-dev/weir/embedded/qdrantd"
	"github.com/weir-dev/weir/embedded/qdrantd/qdrantdtest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
	"github.com/weir-dev/weir/pkg/vector/qdrant"
	"github.com/weir-dev/weir/pkg/vector/vectortest"
)

// TestVectorStore runs the suite of the vector port over the adapter and an
// embedded server, which all its tests share.
func TestVectorStore(t *testing.T) {
	t.Parallel()
	addr := qdrantdtest.Start(t)
	vectortest.Run(t, func(t *testing.T) vector.Store { return newStore(t, qdrant.Config{Addr: addr}) })
}

// newStore is the adapter on a server.
func newStore(t *testing.T, cfg qdrant.Config) *qdrant.Store {
	t.Helper()
	store, err := qdrant.New(cfg)
	if err != nil {
		t.Fatalf("new store: %v", err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// TestEnsureRefusesForeignCollections puts collections that Weir has not made
// where it would make its own.
func TestEnsureRefusesForeignCollections(t *testing.T) {
	t.Parallel()
	addr := qdrantdtest.Start(t)
	store, c := newStore(t, qdrant.Config{Addr: addr}), client(t, addr)
	idx := vector.Index{Name: "docs", Model: "m", Dimension: 3}
	metadata := func(model string) map[string]*pb.Value {
		return pb.NewValueMap(map[string]any{"weir": map[string]any{"index": "docs", "model": model, "dimension": 3}})
	}
	for name, tt := range map[string]struct {
		size  uint64
		meta  map[string]*pb.Value
		field string
	}{
		"no metadata":   {3, nil, "index.name"},
		"another model": {3, metadata("x"), "index.name"},
		"another size":  {4, metadata("m"), "index.dimension"},
	} {
		create(t, c, &pb.CreateCollection{
			CollectionName: "docs_m_3", Metadata: tt.meta,
			VectorsConfig: pb.NewVectorsConfigMap(map[string]*pb.VectorParams{"dense": {Size: tt.size, Distance: pb.Distance_Cosine}}),
			SparseVectorsConfig: pb.NewSparseVectorsConfig(map[string]*pb.SparseVectorParams{
				"bm25": {Modifier: pb.Modifier_Idf.Enum()}, "grams": {Modifier: pb.Modifier_Idf.Enum()}}),
		})
		err := store.Ensure(t.Context(), idx)
		if e := event.AsError(err); e == nil || e.Class != event.ClassInvalid || e.Field != tt.field || e.Hint == "" {
			t.Errorf("%s: error %v, want an invalid %s with a hint", name, err, tt.field)
		}
		if want := tt.field == "index.dimension"; errors.Is(err, vector.ErrDimension) != want {
			t.Errorf("%s: error %v, ErrDimension %v", name, err, !want)
		}
		if _, ok, err := store.Current(t.Context(), "docs"); ok || err != nil {
			t.Errorf("%s: the alias was put on it; error %v", name, err)
		}
		if err := c.DeleteCollection(t.Context(), "docs_m_3"); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
}

// TestCurrentOfForeignCollection follows an alias that somebody put on a
// collection of theirs.
func TestCurrentOfForeignCollection(t *testing.T) {
	t.Parallel()
	addr := qdrantdtest.Start(t)
	c := client(t, addr)
	create(t, c, plain("theirs", 3))
	if err := c.CreateAlias(t.Context(), "docs", "theirs"); err != nil {
		t.Fatalf("create alias: %v", err)
	}
	_, _, err := newStore(t, qdrant.Config{Addr: addr}).Current(t.Context(), "docs")
	if e := event.AsError(err); e == nil || e.Class != event.ClassInvalid || e.Hint == "" {
		t.Errorf("error %v, want an invalid index with a hint", err)
	}
}

func TestEnsureCreatesPayloadIndexes(t *testing.T) {
	t.Parallel()
	addr := qdrantdtest.Start(t)
	store, c := newStore(t, qdrant.Config{Addr: addr}), client(t, addr)
	idx := vector.Index{Name: "docs", Model: "m", Dimension: 3}
	if err := store.Ensure(t.Context(), idx); err != nil {
		t.Fatalf("ensure: %v", err)
	}
	// One that was lost comes back.
	if _, err := c.DeleteFieldIndex(t.Context(), &pb.DeleteFieldIndexCollection{CollectionName: "docs", FieldName: "document"}); err != nil {
		t.Fatalf("delete index: %v", err)
	}
	if err := store.Ensure(t.Context(), idx); err != nil {
		t.Fatalf("ensure again: %v", err)
	}
	info, err := c.GetCollectionInfo(t.Context(), "docs")
	if err != nil {
		t.Fatalf("info: %v", err)
	}
	schema := info.GetPayloadSchema()
	for _, field := range []string{"tenant", "collection", "document", "hash", "acl"} {
		if schema[field].GetDataType() != pb.PayloadSchemaType_Keyword {
			t.Errorf("payload index of %s: %v, want keyword", field, schema[field])
		}
	}
	if len(schema) != 6 || !schema["tenant"].GetParams().GetKeywordIndexParams().GetIsTenant() || schema["version"].GetDataType() != pb.PayloadSchemaType_Integer {
		t.Errorf("payload indexes %v", schema)
	}
}

func TestAPIKey(t *testing.T) {
	t.Parallel()
	srv, err := qdrantd.New(qdrantd.Config{Dir: t.TempDir(), Addr: "127.0.0.1:0", APIKey: "secret"})
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	<-srv.Ready()
	for key, want := range map[string]event.Class{"secret": "", "guess": event.ClassAuth, "": event.ClassAuth} {
		store := newStore(t, qdrant.Config{Addr: srv.Addr(), APIKey: key})
		err := store.Ping(t.Context())
		if e := event.AsError(err); (e == nil) != (want == "") || e != nil && e.Class != want {
			t.Errorf("key %q: error %v, want class %q", key, err, want)
		}
	}
}
