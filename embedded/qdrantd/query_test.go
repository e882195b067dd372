package qdrantd_test

import (
	"fmt"
	"math"
	"testing"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/embedded/qdrantd/qdrantdtest"
)

func TestDistances(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		distance pb.Distance
		want     []scored
	}{
		{pb.Distance_Cosine, []scored{{1, 1}, {2, 0.6}, {3, 0}}},
		{pb.Distance_Dot, []scored{{2, 6}, {1, 2}, {3, 0}}},
		{pb.Distance_Euclid, []scored{{1, 1}, {3, math.Sqrt(5)}, {2, math.Sqrt(17)}}},
		{pb.Distance_Manhattan, []scored{{1, 1}, {3, 3}, {2, 5}}},
	} {
		t.Run(tt.distance.String(), func(t *testing.T) {
			t.Parallel()
			c := setup(t, 2, tt.distance)
			upsert(t, c, num(1, nil, 1, 0), num(2, nil, 3, 4), num(3, nil, 0, 1))
			wantScored(t, query(t, c, &pb.QueryPoints{Query: pb.NewQuery(2, 0)}), tt.want...)
			// The threshold must be beaten, in the metric's own direction.
			at := proto.Float32(float32(tt.want[1].score))
			wantScored(t, query(t, c, &pb.QueryPoints{Query: pb.NewQuery(2, 0), ScoreThreshold: at}), tt.want[0])
			wantScored(t, query(t, c, &pb.QueryPoints{Query: pb.NewQuery(2, 0), Offset: proto.Uint64(1), Limit: proto.Uint64(1)}), tt.want[1])
		})
	}
}

func TestCosineStoresNormalised(t *testing.T) {
	t.Parallel()
	c := setup(t, 2, pb.Distance_Cosine)
	upsert(t, c, num(1, nil, 3, 4))
	got, err := c.Get(t.Context(), &pb.GetPoints{CollectionName: "c", Ids: []*pb.PointId{pb.NewIDNum(1)}, WithVectors: pb.NewWithVectors(true)})
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	if v := got[0].GetVectors().GetVector().GetDense().GetData(); fmt.Sprint(v) != "[0.6 0.8]" {
		t.Errorf("vector %v, want [0.6 0.8]", v)
	}
}

func TestNearestByID(t *testing.T) {
	t.Parallel()
	c := setup(t, 2, pb.Distance_Dot)
	upsert(t, c, num(1, nil, 1, 0), num(2, nil, 3, 4), num(3, nil, 0, 1))
	wantScored(t, query(t, c, &pb.QueryPoints{Query: pb.NewQueryID(pb.NewIDNum(2))}), scored{3, 4}, scored{1, 3})
	_, err := c.Query(t.Context(), &pb.QueryPoints{CollectionName: "c", Query: pb.NewQueryID(pb.NewIDNum(9))})
	wantCode(t, err, codes.NotFound, "No point with id 9 found")
}

func TestQueryWithoutQueryListsByID(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	upsert(t, c, num(3, nil, 1), num(1, nil, 1), num(2, nil, 1))
	wantScored(t, query(t, c, &pb.QueryPoints{Limit: proto.Uint64(2)}), scored{1, 1}, scored{2, 1})
}

// two returns prefetches that rank points 1..4 as 1,2,3 and as 3,2,4.
func two() []*pb.PrefetchQuery {
	return []*pb.PrefetchQuery{
		{Query: pb.NewQuery(1, 0), Limit: proto.Uint64(3)},
		{Query: pb.NewQuery(0, 1), Limit: proto.Uint64(3)},
	}
}

func fusionSetup(t *testing.T) *pb.Client {
	t.Helper()
	c := setup(t, 2, pb.Distance_Dot)
	upsert(t, c, num(1, map[string]any{"t": "a"}, 9, 0), num(2, map[string]any{"t": "b"}, 6, 5), num(3, map[string]any{"t": "a"}, 5, 7), num(4, nil, 1, 4))
	return c
}

func TestRRF(t *testing.T) {
	t.Parallel()
	c := fusionSetup(t)
	third, quarter := 1.0/3, 1.0/4
	for _, tt := range []struct {
		name  string
		query *pb.Query
		want  []scored
	}{
		{"default k 2", pb.NewQueryFusion(pb.Fusion_RRF), []scored{{3, 0.5 + quarter}, {2, 2 * third}, {1, 0.5}, {4, quarter}}},
		{"k 60", pb.NewQueryRRF(&pb.Rrf{K: proto.Uint32(60)}),
			[]scored{{3, 1.0/60 + 1.0/62}, {2, 2.0 / 61}, {1, 1.0 / 60}, {4, 1.0 / 62}}},
		{"weights", pb.NewQueryRRF(&pb.Rrf{Weights: []float32{3, 1}}),
			[]scored{{3, 0.5 + 0.5}, {2, 0.6 + third}, {1, 0.75}, {4, quarter}}},
		{"weight 0 counts nothing", pb.NewQueryRRF(&pb.Rrf{Weights: []float32{1, 0}}), []scored{{1, 0.5}, {2, third}, {3, quarter}, {4, 0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantScored(t, query(t, c, &pb.QueryPoints{Prefetch: two(), Query: tt.query}), tt.want...)
		})
	}
	got := query(t, c, &pb.QueryPoints{Prefetch: two(), Query: pb.NewQueryFusion(pb.Fusion_RRF), ScoreThreshold: proto.Float32(0.5)})
	wantIDs(t, ids(got), 3, 2, 1) // fusion keeps what equals the threshold
	_, err := c.Query(t.Context(), &pb.QueryPoints{CollectionName: "c", Prefetch: two(), Query: pb.NewQueryRRF(&pb.Rrf{Weights: []float32{1}})})
	wantCode(t, err, codes.InvalidArgument, "rrf.weights")
}

func TestDBSF(t *testing.T) {
	t.Parallel()
	c := fusionSetup(t)
	norm := func(s float64, list ...float64) float64 {
		mean, sum := 0.0, 0.0
		for _, x := range list {
			mean += x / float64(len(list))
		}
		for _, x := range list {
			sum += (x - mean) * (x - mean)
		}
		sd := math.Sqrt(sum / float64(len(list)-1))
		return (s - (mean - 3*sd)) / (6 * sd)
	}
	x, y := []float64{9, 6, 5}, []float64{7, 5, 4}
	wantScored(t, query(t, c, &pb.QueryPoints{Prefetch: two(), Query: pb.NewQueryFusion(pb.Fusion_DBSF)}),
		scored{3, norm(5, x...) + norm(7, y...)}, scored{2, norm(6, x...) + norm(5, y...)}, scored{1, norm(9, x...)}, scored{4, norm(4, y...)})
	one := []*pb.PrefetchQuery{{Query: pb.NewQuery(1, 0), Limit: proto.Uint64(1)}}
	wantScored(t, query(t, c, &pb.QueryPoints{Prefetch: one, Query: pb.NewQueryFusion(pb.Fusion_DBSF)}), scored{1, 0.5})
}

func TestPrefetch(t *testing.T) {
	t.Parallel()
	c := fusionSetup(t)
	// Ranking anew: only prefetched points, by the outer query.
	wantScored(t, query(t, c, &pb.QueryPoints{Prefetch: two()[:1], Query: pb.NewQuery(0, 1)}), scored{3, 7}, scored{2, 5}, scored{1, 0})
	// The outer filter holds in the prefetch, together with its own.
	p := two()
	p[1].Filter = must(pb.NewHasID(pb.NewIDNum(1), pb.NewIDNum(2)))
	got := query(t, c, &pb.QueryPoints{Prefetch: p, Query: pb.NewQueryFusion(pb.Fusion_RRF), Filter: must(pb.NewMatch("t", "a"))})
	wantScored(t, got, scored{1, 1}, scored{3, 1.0 / 3})
	// Prefetches nest.
	inner := []*pb.PrefetchQuery{{Prefetch: two(), Query: pb.NewQueryFusion(pb.Fusion_RRF), Limit: proto.Uint64(2)}}
	wantScored(t, query(t, c, &pb.QueryPoints{Prefetch: inner, Query: pb.NewQuery(1, 0)}), scored{2, 6}, scored{3, 5})
	for name, req := range map[string]*pb.QueryPoints{
		"fusion without prefetch": {Query: pb.NewQueryFusion(pb.Fusion_RRF)},
		"prefetch without query":  {Prefetch: two()},
		"limit 0":                 {Query: pb.NewQuery(1, 0), Limit: proto.Uint64(0)},
		"wrong length":            {Query: pb.NewQuery(1)},
		"unknown vector":          {Query: pb.NewQuery(1, 0), Using: proto.String("nope")},
		"sparse on dense":         {Query: pb.NewQuerySparse([]uint32{1}, []float32{1})},
		"not a number":            {Query: pb.NewQuery(1, float32(math.NaN()))},
	} {
		req.CollectionName = "c"
		if _, err := c.Query(t.Context(), req); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			wantCode(t, err, codes.InvalidArgument, "")
		}
	}
}

func TestQueryBatch(t *testing.T) {
	t.Parallel()
	c := fusionSetup(t)
	got, err := c.QueryBatch(t.Context(), &pb.QueryBatchPoints{CollectionName: "c", QueryPoints: []*pb.QueryPoints{
		{CollectionName: "c", Query: pb.NewQuery(1, 0), Limit: proto.Uint64(1)},
		{CollectionName: "c", Query: pb.NewQuery(0, 1), Limit: proto.Uint64(2), WithPayload: pb.NewWithPayloadInclude("t")},
	}})
	if err != nil {
		t.Fatalf("query batch: %v", err)
	}
	wantIDs(t, ids(got[0].GetResult()), 1)
	wantIDs(t, ids(got[1].GetResult()), 3, 2)
	if v := got[1].GetResult()[0].GetPayload()["t"].GetStringValue(); v != "a" {
		t.Errorf("payload t is %q, want a", v)
	}
}

func TestSparseIDF(t *testing.T) {
	t.Parallel()
	c := client(t, qdrantdtest.Start(t))
	create(t, c, &pb.CreateCollection{
		CollectionName: "c",
		VectorsConfig:  pb.NewVectorsConfigMap(map[string]*pb.VectorParams{"d": {Size: 2, Distance: pb.Distance_Euclid}}),
		SparseVectorsConfig: pb.NewSparseVectorsConfig(map[string]*pb.SparseVectorParams{
			"s": {Modifier: pb.Modifier_Idf.Enum()}, "plain": {},
		}),
	})
	point := func(id uint64, idx []uint32, w ...float32) *pb.PointStruct {
		v := map[string]*pb.Vector{"s": pb.NewVectorSparse(idx, w), "plain": pb.NewVectorSparse(idx, w), "d": pb.NewVector(float32(id), 0)}
		return &pb.PointStruct{Id: pb.NewIDNum(id), Vectors: pb.NewVectorsMap(v), Payload: pb.NewValueMap(map[string]any{"id": id})}
	}
	upsert(t, c, point(1, []uint32{7, 3}, 1, 2), point(2, []uint32{3}, 1), point(3, []uint32{900000}, 5), point(4, nil))
	idf := func(df float64) float64 { return math.Log((4-df+0.5)/(df+0.5) + 1) }
	q := pb.NewQuerySparse([]uint32{7, 3}, []float32{1, 1})
	wantScored(t, query(t, c, &pb.QueryPoints{Query: q, Using: proto.String("s")}), scored{1, idf(1) + 2*idf(2)}, scored{2, idf(2)})
	wantScored(t, query(t, c, &pb.QueryPoints{Query: q, Using: proto.String("plain")}), scored{1, 3}, scored{2, 1})
	// Rarity counts the whole collection, whatever the filter.
	wantScored(t, query(t, c, &pb.QueryPoints{Query: q, Using: proto.String("s"), Filter: must(pb.NewMatchInt("id", 2))}), scored{2, idf(2)})
	wantScored(t, query(t, c, &pb.QueryPoints{Query: pb.NewQueryID(pb.NewIDNum(1)), Using: proto.String("plain")}), scored{2, 2})
	// Hybrid: a sparse and a dense list fused.
	hybrid := []*pb.PrefetchQuery{{Query: q, Using: proto.String("s")}, {Query: pb.NewQuery(0, 0), Using: proto.String("d"), Limit: proto.Uint64(2)}}
	wantScored(t, query(t, c, &pb.QueryPoints{Prefetch: hybrid, Query: pb.NewQueryFusion(pb.Fusion_RRF)}), scored{1, 1}, scored{2, 2.0 / 3})
	got := query(t, c, &pb.QueryPoints{Query: q, Using: proto.String("s"), Limit: proto.Uint64(1), WithVectors: pb.NewWithVectorsInclude("s")})
	if s := got[0].GetVectors().GetVectors().GetVectors()["s"].GetSparse(); fmt.Sprint(s.GetIndices(), s.GetValues()) != "[3 7] [2 1]" {
		t.Errorf("sparse vector %v", s)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	upsert(t, c,
		num(1, map[string]any{"doc": "a"}, 9), num(2, map[string]any{"doc": "a"}, 8), num(3, map[string]any{"doc": "a"}, 7),
		num(4, map[string]any{"doc": "b"}, 6), num(5, map[string]any{"doc": []any{"b", 7}}, 5), num(6, nil, 99), num(7, map[string]any{"doc": 1.5}, 50))
	for i := range uint64(200) { // many lesser hits of one group before the last one
		upsert(t, c, num(100+i, map[string]any{"doc": "a"}, 4))
	}
	upsert(t, c, num(999, map[string]any{"doc": "z"}, 1))
	got, err := c.QueryGroups(t.Context(), &pb.QueryPointGroups{
		CollectionName: "c", Query: pb.NewQuery(1), GroupBy: "doc", GroupSize: proto.Uint64(2), Limit: proto.Uint64(4)})
	if err != nil {
		t.Fatalf("query groups: %v", err)
	}
	want := []struct {
		id   string
		hits []uint64
	}{{`string_value:"a"`, []uint64{1, 2}}, {`string_value:"b"`, []uint64{4, 5}}, {`unsigned_value:7`, []uint64{5}}, {`string_value:"z"`, []uint64{999}}}
	if len(got) != len(want) {
		t.Fatalf("got %d groups, want %d: %v", len(got), len(want), got)
	}
	for i, w := range want {
		if id := got[i].GetId().String(); id != w.id {
			t.Errorf("group %d is %s, want %s", i, id, w.id)
		}
		wantIDs(t, ids(got[i].GetHits()), w.hits...)
	}
}

// TestManyPoints compares the parallel scan with a plain computation, whole,
// filtered by index, and filtered without.
func TestManyPoints(t *testing.T) {
	t.Parallel()
	c := setup(t, 3, pb.Distance_Dot)
	createIndex(t, c, "mod", pb.FieldType_FieldTypeInteger)
	createIndex(t, c, "rare", pb.FieldType_FieldTypeInteger)
	const n = 12000
	vec := func(i int) []float32 { return []float32{float32(i * 7919 % n), float32(i * 104729 % n), 1} }
	var batch []*pb.PointStruct
	for i := range n {
		batch = append(batch, num(uint64(i), map[string]any{"mod": i % 3, "plain": i % 5, "rare": i / 100}, vec(i)...))
		if len(batch) == 3000 {
			upsert(t, c, batch...)
			batch = nil
		}
	}
	for name, tt := range map[string]struct {
		filter *pb.Filter
		keep   func(i int) bool
	}{
		"all":     {nil, func(int) bool { return true }},
		"indexed": {must(pb.NewMatchInt("mod", 1)), func(i int) bool { return i%3 == 1 }},
		"plain":   {must(pb.NewMatchInt("plain", 2)), func(i int) bool { return i%5 == 2 }},
		"both":    {must(pb.NewMatchInt("plain", 2), pb.NewMatchInt("mod", 1)), func(i int) bool { return i%5 == 2 && i%3 == 1 }},
		"rare":    {must(pb.NewMatchInts("mod", 1, 2), pb.NewMatchInt("rare", 7)), func(i int) bool { return i%3 != 0 && i/100 == 7 }},
		"most":    {must(pb.NewMatchInts("mod", 0, 2)), func(i int) bool { return i%3 != 1 }},
	} {
		best, bestScore := uint64(0), float32(-1)
		kept := uint64(0)
		for i := range n {
			if v := vec(i); tt.keep(i) {
				kept++
				if s := v[0] + 2*v[1]; s > bestScore || s == bestScore && uint64(i) > best {
					best, bestScore = uint64(i), s
				}
			}
		}
		got := query(t, c, &pb.QueryPoints{Query: pb.NewQuery(1, 2, 0), Filter: tt.filter, Limit: proto.Uint64(50)})
		if len(got) != 50 || got[0].GetId().GetNum() != best {
			t.Errorf("%s: best of %d hits is %v, want %d", name, len(got), got[0], best)
		}
		for i := 1; i < len(got); i++ {
			if got[i].GetScore() > got[i-1].GetScore() {
				t.Errorf("%s: hit %d is better than the one before", name, i)
			}
		}
		if got := count(t, c, tt.filter); got != kept {
			t.Errorf("%s: count %d, want %d", name, got, kept)
		}
	}
}

func TestGroupsOfPrefetch(t *testing.T) {
	t.Parallel()
	c := fusionSetup(t)
	got, err := c.QueryGroups(t.Context(), &pb.QueryPointGroups{
		CollectionName: "c", Prefetch: two(), Query: pb.NewQueryFusion(pb.Fusion_RRF), GroupBy: "t"})
	if err != nil {
		t.Fatalf("query groups: %v", err)
	}
	if len(got) != 2 { // point 4 has no group
		t.Fatalf("got groups %v, want a and b", got)
	}
	wantIDs(t, ids(got[0].GetHits()), 3, 1)
	wantIDs(t, ids(got[1].GetHits()), 2)
}
