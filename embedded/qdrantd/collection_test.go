package qdrantd_test

import (
	"fmt"
	"testing"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"

	"github.com/weir-dev/weir/embedded/qdrantd"
)

// plain is a request for a collection with an unnamed vector.
func plain(name string, size uint64) *pb.CreateCollection {
	return &pb.CreateCollection{CollectionName: name, VectorsConfig: pb.NewVectorsConfig(&pb.VectorParams{Size: size, Distance: pb.Distance_Dot})}
}

func TestCollections(t *testing.T) {
	t.Parallel()
	c := setup(t, 3, pb.Distance_Cosine)
	wantCode(t, c.CreateCollection(t.Context(), plain("c", 1)), codes.AlreadyExists, "Collection `c` already exists!")
	for _, name := range []string{"", "a/b", string(make([]byte, 300))} {
		wantCode(t, c.CreateCollection(t.Context(), plain(name, 1)), codes.InvalidArgument, "collection_name")
	}
	wantCode(t, c.CreateCollection(t.Context(), plain("d", 0)), codes.InvalidArgument, "size")
	create(t, c, plain("d", 1))
	if names, err := c.ListCollections(t.Context()); err != nil || fmt.Sprint(names) != "[c d]" {
		t.Errorf("collections %v, error %v", names, err)
	}
	info, err := c.GetCollectionInfo(t.Context(), "c")
	if p := info.GetConfig().GetParams().GetVectorsConfig().GetParams(); err != nil || p.GetSize() != 3 || p.GetDistance() != pb.Distance_Cosine {
		t.Errorf("info %v, error %v", info, err)
	}
	if err := c.DeleteCollection(t.Context(), "c"); err != nil {
		t.Errorf("delete: %v", err)
	}
	// What does not exist is no error on the wire but "false", which the client
	// reports in its own words.
	wantCode(t, c.DeleteCollection(t.Context(), "c"), codes.Unknown, "failed to delete collection")
	if exists, err := c.CollectionExists(t.Context(), "c"); err != nil || exists {
		t.Errorf("exists %v, error %v", exists, err)
	}
}

func TestMissingCollection(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	const message = "Not found: Collection `x` doesn't exist!"
	_, err := c.GetCollectionInfo(t.Context(), "x")
	wantCode(t, err, codes.NotFound, message)
	_, err = c.Upsert(t.Context(), &pb.UpsertPoints{CollectionName: "x", Points: []*pb.PointStruct{num(1, nil, 1)}})
	wantCode(t, err, codes.NotFound, message)
	_, err = c.Query(t.Context(), &pb.QueryPoints{CollectionName: "x", Query: pb.NewQuery(1)})
	wantCode(t, err, codes.NotFound, message)
	_, err = c.Count(t.Context(), &pb.CountPoints{CollectionName: "x"})
	wantCode(t, err, codes.NotFound, message)
}

func TestAliases(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	ctx := t.Context()
	create(t, c, plain("d", 1))
	upsert(t, c, num(1, nil, 1))
	countOf := func(name string) uint64 {
		n, err := c.Count(ctx, &pb.CountPoints{CollectionName: name})
		if err != nil {
			t.Fatalf("count %s: %v", name, err)
		}
		return n
	}
	if err := c.CreateAlias(ctx, "live", "c"); err != nil {
		t.Fatalf("create alias: %v", err)
	}
	if n := countOf("live"); n != 1 {
		t.Errorf("count behind the alias %d, want 1", n)
	}
	if exists, err := c.CollectionExists(ctx, "live"); err != nil || !exists {
		t.Errorf("alias exists %v, error %v", exists, err)
	}
	// A change is all or nothing.
	err := c.UpdateAliases(ctx, []*pb.AliasOperations{pb.NewAliasCreate("live", "d"), pb.NewAliasCreate("other", "missing")})
	wantCode(t, err, codes.NotFound, "Collection `missing` doesn't exist!")
	if n := countOf("live"); n != 1 {
		t.Errorf("a failed change moved the alias")
	}
	// One request moves a name from one collection to another.
	if err := c.UpdateAliases(ctx, []*pb.AliasOperations{pb.NewAliasDelete("live"), pb.NewAliasCreate("live", "d")}); err != nil {
		t.Fatalf("move alias: %v", err)
	}
	if n := countOf("live"); n != 0 {
		t.Errorf("count after the move %d, want 0", n)
	}
	if err := c.RenameAlias(ctx, "live", "prod"); err != nil {
		t.Fatalf("rename: %v", err)
	}
	wantCode(t, c.RenameAlias(ctx, "live", "x"), codes.NotFound, "Alias live")
	wantCode(t, c.CreateAlias(ctx, "c", "d"), codes.AlreadyExists, "c")
	wantCode(t, c.CreateCollection(ctx, plain("prod", 1)), codes.InvalidArgument, "Alias with the same name")
	if list, err := c.ListCollectionAliases(ctx, "d"); err != nil || fmt.Sprint(list) != "[prod]" {
		t.Errorf("aliases of d %v, error %v", list, err)
	}
	if err := c.DeleteCollection(ctx, "prod"); err == nil { // an alias is no collection to delete
		t.Error("deleted a collection by its alias")
	}
	if n := countOf("d"); n != 0 {
		t.Errorf("count %d", n)
	}
	if err := c.DeleteCollection(ctx, "d"); err != nil { // takes its aliases along
		t.Errorf("delete: %v", err)
	}
	if list, err := c.ListAliases(ctx); err != nil || len(list) != 0 {
		t.Errorf("aliases %v, error %v", list, err)
	}
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]qdrantd.Config{
		"Dir is":            {},
		`Addr is "nope"`:    {Dir: "x", Addr: "nope"},
		"DrainTimeout is":   {Dir: "x", DrainTimeout: -1},
		"LockTimeout is":    {Dir: "x", LockTimeout: -1},
		"Addr is \"1:2:3\"": {Dir: "x", Addr: "1:2:3"},
	} {
		_, err := qdrantd.New(cfg)
		if err == nil {
			t.Errorf("config %+v: no error, want %q", cfg, name)
		}
	}
	cfg := qdrantd.DefaultConfig()
	cfg.Dir = "x"
	if err := cfg.Validate(); err != nil {
		t.Errorf("default config: %v", err)
	}
}
