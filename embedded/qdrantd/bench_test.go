package qdrantd_test

import (
	"math/rand/v2"
	"testing"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/embedded/qdrantd/qdrantdtest"
)

// BenchmarkSearch measures a top-10 search among 20,000 vectors of 384 numbers,
// by how much of them the filter leaves.
func BenchmarkSearch(b *testing.B) {
	c := client(b, qdrantdtest.Start(b))
	fillBenchmark(b, c)
	match := func(field string, v int64) *pb.Condition { return pb.NewMatchInt(field, v) }
	for name, f := range map[string]*pb.Filter{
		"all": nil, "one tenant of one": must(match("one", 0)), "one tenant of two": must(match("two", 1)),
		"one tenant of 100": must(match("hundred", 7), match("one", 0)), "a third, not indexed": must(match("plain", 1)),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := c.Query(b.Context(), &pb.QueryPoints{CollectionName: "c", Query: pb.NewQuery(randomVector(384)...), Filter: f, WithPayload: pb.NewWithPayload(true)})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func fillBenchmark(b *testing.B, c *pb.Client) {
	b.Helper()
	if err := c.CreateCollection(b.Context(), plain("c", 384)); err != nil {
		b.Fatal(err)
	}
	for _, field := range []string{"one", "two", "hundred"} {
		_, err := c.CreateFieldIndex(b.Context(), &pb.CreateFieldIndexCollection{
			CollectionName: "c", FieldName: field, FieldType: pb.FieldType_FieldTypeInteger.Enum()})
		if err != nil {
			b.Fatal(err)
		}
	}
	text := string(make([]byte, 1000))
	for batch := range 80 {
		points := make([]*pb.PointStruct, 250)
		for i := range points {
			id := batch*250 + i
			points[i] = num(uint64(id), map[string]any{"one": 0, "two": id % 2, "hundred": id % 100, "plain": id % 3, "text": text}, randomVector(384)...)
		}
		if _, err := c.Upsert(b.Context(), &pb.UpsertPoints{CollectionName: "c", Wait: proto.Bool(true), Points: points}); err != nil {
			b.Fatal(err)
		}
	}
}

func randomVector(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rand.NormFloat64())
	}
	return v
}
