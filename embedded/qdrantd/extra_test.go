package qdrantd_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func facet(t *testing.T, c *pb.Client, req *pb.FacetCounts) string {
	t.Helper()
	req.CollectionName = "c"
	hits, err := c.Facet(t.Context(), req)
	if err != nil {
		t.Fatalf("facet: %v", err)
	}
	var out []string
	for _, h := range hits {
		v := fmt.Sprint(h.GetValue().GetIntegerValue())
		switch h.GetValue().GetVariant().(type) {
		case *pb.FacetValue_StringValue:
			v = h.GetValue().GetStringValue()
			v = v[:min(len(v), 5)]
		case *pb.FacetValue_BoolValue:
			v = fmt.Sprint(h.GetValue().GetBoolValue())
		}
		out = append(out, fmt.Sprintf("%s:%d", v, h.GetCount()))
	}
	return strings.Join(out, " ")
}

func TestFacet(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	long := strings.Repeat("z", 300)
	upsert(t, c,
		num(1, map[string]any{"k": "b", "n": 7, "ok": true}, 1), num(2, map[string]any{"k": []any{"a", "b", "b"}, "n": -7, "ok": false}, 1),
		num(3, map[string]any{"k": []any{"b", long}, "n": 7, "ok": true}, 1), num(4, map[string]any{"k": "", "n": "no number"}, 1), num(5, nil, 1))
	_, err := c.Facet(t.Context(), &pb.FacetCounts{CollectionName: "c", Key: "k"})
	wantCode(t, err, codes.InvalidArgument, "No appropriate index for faceting: `k`")
	createIndex(t, c, "k", pb.FieldType_FieldTypeKeyword)
	createIndex(t, c, "n", pb.FieldType_FieldTypeInteger)
	createIndex(t, c, "ok", pb.FieldType_FieldTypeBool)
	for _, tt := range []struct {
		req  *pb.FacetCounts
		want string
	}{
		{&pb.FacetCounts{Key: "k"}, "b:3 :1 a:1 zzzzz:1"},
		{&pb.FacetCounts{Key: "k", Limit: proto.Uint64(1), Exact: proto.Bool(true)}, "b:3"},
		{&pb.FacetCounts{Key: "n"}, "7:2 -7:1"},
		{&pb.FacetCounts{Key: "ok"}, "true:2 false:1"},
		{&pb.FacetCounts{Key: "k", Filter: must(pb.NewMatchInt("n", 7))}, "b:2 zzzzz:1"},
		{&pb.FacetCounts{Key: "n", Filter: must(pb.NewMatch("k", "nobody"))}, ""},
	} {
		if got := facet(t, c, tt.req); got != tt.want {
			t.Errorf("facet %v: %q, want %q", tt.req, got, tt.want)
		}
	}
	_, err = c.Facet(t.Context(), &pb.FacetCounts{CollectionName: "c", Key: "k", Limit: proto.Uint64(0)})
	wantCode(t, err, codes.InvalidArgument, "limit")
}

func TestOrderBy(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	upsert(t, c,
		num(1, map[string]any{"n": 5, "f": 2.5, "at": "2024-01-02"}, 1), num(2, map[string]any{"n": []any{9, 1}, "f": 3, "at": "2024-01-01"}, 1),
		num(3, map[string]any{"n": 5, "f": -1.5, "at": "2024-01-03T00:00:00Z", "t": "x"}, 1), num(4, map[string]any{"n": 7.5, "f": "no", "at": 7}, 1))
	_, err := c.Scroll(t.Context(), &pb.ScrollPoints{CollectionName: "c", OrderBy: &pb.OrderBy{Key: "n"}})
	wantCode(t, err, codes.InvalidArgument, "No range index for `order_by` key: `n`")
	createIndex(t, c, "n", pb.FieldType_FieldTypeInteger)
	createIndex(t, c, "f", pb.FieldType_FieldTypeFloat)
	createIndex(t, c, "at", pb.FieldType_FieldTypeDatetime)
	desc := pb.Direction_Desc.Enum()
	day := timestamppb.New(dayTwo())
	for _, tt := range []struct {
		by   *pb.OrderBy
		want string
	}{
		{&pb.OrderBy{Key: "n"}, "2=1 1=5 3=5 2=9"},
		{&pb.OrderBy{Key: "n", Direction: desc}, "2=9 3=5 1=5 2=1"},
		{&pb.OrderBy{Key: "n", StartFrom: &pb.StartFrom{Value: &pb.StartFrom_Integer{Integer: 5}}}, "1=5 3=5 2=9"},
		{&pb.OrderBy{Key: "n", Direction: desc, StartFrom: &pb.StartFrom{Value: &pb.StartFrom_Float{Float: 5}}}, "3=5 1=5 2=1"},
		{&pb.OrderBy{Key: "f"}, "3=-1.5 1=2.5 2=3"},
		{&pb.OrderBy{Key: "at", StartFrom: &pb.StartFrom{Value: &pb.StartFrom_Timestamp{Timestamp: day}}}, "1=1704153600000000 3=1704240000000000"},
		{&pb.OrderBy{Key: "at", Direction: desc, StartFrom: &pb.StartFrom{Value: &pb.StartFrom_Datetime{Datetime: "2024-01-02"}}}, "1=1704153600000000 2=1704067200000000"},
	} {
		got, err := c.Scroll(t.Context(), &pb.ScrollPoints{CollectionName: "c", OrderBy: tt.by})
		if err != nil || ordered(got) != tt.want {
			t.Errorf("order by %v: %s, error %v; want %s", tt.by, ordered(got), err, tt.want)
		}
		found := query(t, c, &pb.QueryPoints{Query: pb.NewQueryOrderBy(tt.by)})
		if ordered(found) != tt.want || found[0].GetScore() != 1 {
			t.Errorf("query ordered by %v: %v, want %s with score 1", tt.by, found, tt.want)
		}
	}
	got, err := c.Scroll(t.Context(), &pb.ScrollPoints{CollectionName: "c", OrderBy: &pb.OrderBy{Key: "n"}, Limit: proto.Uint32(2), Filter: must(pb.NewHasID(pb.NewIDNum(2), pb.NewIDNum(3)))})
	if err != nil || ordered(got) != "2=1 3=5" {
		t.Errorf("filtered: %s, error %v", ordered(got), err)
	}
	two := []*pb.PrefetchQuery{{Query: pb.NewQuery(1), Filter: must(pb.NewMatch("t", "x"))}}
	if got := query(t, c, &pb.QueryPoints{Prefetch: two, Query: pb.NewQueryOrderBy(&pb.OrderBy{Key: "n"})}); ordered(got) != "3=5" {
		t.Errorf("of a prefetch: %s", ordered(got))
	}
	_, err = c.Scroll(t.Context(), &pb.ScrollPoints{CollectionName: "c", OrderBy: &pb.OrderBy{Key: "n"}, Offset: pb.NewIDNum(1)})
	wantCode(t, err, codes.InvalidArgument, "offset")
	_, err = c.Scroll(t.Context(), &pb.ScrollPoints{CollectionName: "c", OrderBy: &pb.OrderBy{Key: "at", StartFrom: &pb.StartFrom{Value: &pb.StartFrom_Datetime{Datetime: "x"}}}})
	wantCode(t, err, codes.InvalidArgument, "no time")
}

// ordered shows points with the values they were ordered by.
func ordered[P interface {
	GetId() *pb.PointId
	GetOrderValue() *pb.OrderValue
}](points []P) string {
	var out []string
	for _, p := range points {
		v := fmt.Sprint(p.GetOrderValue().GetInt())
		if f, ok := p.GetOrderValue().GetVariant().(*pb.OrderValue_Float); ok {
			v = fmt.Sprint(f.Float)
		}
		out = append(out, fmt.Sprintf("%d=%s", p.GetId().GetNum(), v))
	}
	return strings.Join(out, " ")
}

// TestMMR computes the picks by the formula, for each distance.
func TestMMR(t *testing.T) {
	t.Parallel()
	vectors := [][]float32{{1, 0}, {0.99, 0.1}, {0.98, 0.15}, {0.6, 0.7}, {0.1, 1}, {-1, 0.2}}
	asked := []float32{1, 0.05}
	for _, d := range []pb.Distance{pb.Distance_Dot, pb.Distance_Euclid, pb.Distance_Manhattan} {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			c := setup(t, 2, d)
			for i, v := range vectors {
				upsert(t, c, num(uint64(i), nil, v...))
			}
			for _, diversity := range []float32{0, 0.4, 0.9} {
				got := query(t, c, &pb.QueryPoints{Limit: proto.Uint64(4), Query: pb.NewQueryMMR(pb.NewVectorInput(asked...),
					&pb.Mmr{Diversity: proto.Float32(diversity), CandidatesLimit: proto.Uint32(5)})})
				if want := pick(d, vectors, asked, float64(diversity), 5, 4); !slices.Equal(ids(got), want) {
					t.Errorf("diversity %v: picked %v, want %v", diversity, ids(got), want)
				}
				plain := query(t, c, &pb.QueryPoints{Query: pb.NewQuery(asked...)})
				for _, h := range got {
					if i := slices.Index(ids(plain), h.GetId().GetNum()); plain[i].GetScore() != h.GetScore() {
						t.Errorf("diversity %v: point %d has score %v, want its own, %v", diversity, h.GetId().GetNum(), h.GetScore(), plain[i].GetScore())
					}
				}
			}
		})
	}
	c := setup(t, 2, pb.Distance_Dot)
	_, err := c.Query(t.Context(), &pb.QueryPoints{CollectionName: "c", Query: pb.NewQueryMMR(pb.NewVectorInput(1, 0), &pb.Mmr{Diversity: proto.Float32(1.5)})})
	wantCode(t, err, codes.InvalidArgument, "mmr.diversity")
	_, err = c.Query(t.Context(), &pb.QueryPoints{CollectionName: "c", Query: pb.NewQueryMMR(pb.NewVectorInput(1, 0), &pb.Mmr{CandidatesLimit: proto.Uint32(99999)})})
	wantCode(t, err, codes.InvalidArgument, "mmr.candidates_limit")
}

// pick is maximal marginal relevance, the plain way.
func pick(d pb.Distance, vectors [][]float32, asked []float32, diversity float64, candidates, limit int) []uint64 {
	sim := func(a, b []float32) float64 {
		var dot, square, abs float64
		for i := range a {
			x, y := float64(a[i]), float64(b[i])
			dot, square, abs = dot+x*y, square+(x-y)*(x-y), abs+math.Abs(x-y)
		}
		return map[pb.Distance]float64{pb.Distance_Dot: dot, pb.Distance_Euclid: -square, pb.Distance_Manhattan: -abs}[d]
	}
	rest := make([]int, len(vectors))
	for i := range rest {
		rest[i] = i
	}
	slices.SortFunc(rest, func(a, b int) int {
		return int(math.Copysign(1, sim(asked, vectors[b])-sim(asked, vectors[a])))
	})
	rest = rest[:candidates]
	var out []uint64
	for len(out) < limit {
		best, bestScore := -1, math.Inf(-1)
		for _, i := range rest {
			score := sim(asked, vectors[i])
			if len(out) > 0 {
				near := math.Inf(-1)
				for _, o := range out {
					near = max(near, sim(vectors[o], vectors[i]))
				}
				score = (1-diversity)*score - diversity*near
			}
			if !slices.Contains(out, uint64(i)) && score > bestScore {
				best, bestScore = i, score
			}
		}
		out = append(out, uint64(best))
	}
	return out
}

// TestMMROfPrefetch picks among prefetched points, of a sparse vector too.
func TestMMROfPrefetch(t *testing.T) {
	t.Parallel()
	c := setupSparse(t)
	upsert(t, c,
		sparsePoint(1, nil, map[uint32]float32{1: 2, 2: 2}), sparsePoint(2, nil, map[uint32]float32{1: 2, 2: 1.9}),
		sparsePoint(3, nil, map[uint32]float32{1: 1, 3: 1}), sparsePoint(4, nil, map[uint32]float32{9: 1}))
	for _, using := range []string{"s", "plain"} {
		got := query(t, c, &pb.QueryPoints{
			Prefetch: []*pb.PrefetchQuery{{Query: pb.NewQuery(1), Limit: proto.Uint64(10)}}, Using: proto.String(using), Limit: proto.Uint64(2),
			Query: pb.NewQueryMMR(pb.NewVectorInputSparse([]uint32{1, 2, 3}, []float32{1, 1, 1}), &pb.Mmr{CandidatesLimit: proto.Uint32(10)})})
		wantIDs(t, ids(got), 1, 3)
	}
}
