package qdrantd_test

import (
	"context"
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

func TestEnsureRefusesAnotherModel(t *testing.T) {
	t.Parallel()
	addr := qdrantdtest.Start(t)
	store := newStore(t, qdrant.Config{Addr: addr})
	idx := vector.Index{Name: "docs", Model: "a/model", Dimension: 3}
	if err := store.Ensure(t.Context(), idx); err != nil {
		t.Fatalf("ensure: %v", err)
	}
	idx.Model = "another"
	if e := event.AsError(store.Ensure(t.Context(), idx)); e == nil || e.Class != event.ClassInvalid || e.Field != "index.model" || e.Hint == "" {
		t.Errorf("ensure with another model: %v, want an invalid index.model with a hint", e)
	}
	aliases, err := client(t, addr).ListAliases(t.Context())
	if err != nil || len(aliases) != 1 || aliases[0].GetAliasName() != "docs" {
		t.Errorf("aliases %v, error %v; want docs alone", aliases, err)
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
	if len(schema) != 4 || !schema["tenant"].GetParams().GetKeywordIndexParams().GetIsTenant() || schema["document"] == nil ||
		schema["collection"] == nil || schema["version"].GetDataType() != pb.PayloadSchemaType_Integer {
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
