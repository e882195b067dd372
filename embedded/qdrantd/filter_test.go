package qdrantd_test

import (
	"testing"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// filterPoints are the points of the filter tests.
func filterPoints() []*pb.PointStruct {
	return []*pb.PointStruct{
		num(1, map[string]any{"city": "Berlin", "n": 1, "ok": true, "tags": []any{"a", "b"}, "at": "2024-01-01T00:00:00Z", "o": map[string]any{"k": "x"}}, 1, 0),
		num(2, map[string]any{"city": "London", "n": 2, "ok": false, "tags": []any{"b"}, "at": "2024-06-01", "o": map[string]any{"k": "y"}}, 1, 0),
		num(3, map[string]any{"city": "Paris", "n": 3.5, "tags": []any{}, "at": "2025-01-01T00:00:00+01:00"}, 1, 0),
		num(4, map[string]any{"city": nil, "n": "2", "tags": []any{"c", nil}}, 1, 0),
		num(5, map[string]any{"city": "Berlin", "n": []any{2, 9}, "list": []any{
			map[string]any{"p": 1, "q": "u"}, map[string]any{"p": 2, "q": "v"}}}, 1, 0),
		num(6, map[string]any{"other.key": "dotted"}, 1, 0),
	}
}

type filterCase struct {
	name   string
	filter *pb.Filter
	want   []uint64
}

func must(c ...*pb.Condition) *pb.Filter { return &pb.Filter{Must: c} }

func matchCases() []filterCase {
	return []filterCase{
		{"no filter", nil, []uint64{1, 2, 3, 4, 5, 6}},
		{"empty filter", &pb.Filter{}, []uint64{1, 2, 3, 4, 5, 6}},
		{"keyword", must(pb.NewMatch("city", "Berlin")), []uint64{1, 5}},
		{"keyword in array", must(pb.NewMatch("tags", "b")), []uint64{1, 2}},
		{"keyword is not a number", must(pb.NewMatch("n", "2")), []uint64{4}},
		{"keyword of nobody", must(pb.NewMatch("city", "Rome")), []uint64{}},
		{"two keywords", must(pb.NewMatch("city", "Berlin"), pb.NewMatch("tags", "a")), []uint64{1}},
		{"keywords", must(pb.NewMatchKeywords("city", "Paris", "London", "Paris")), []uint64{2, 3}},
		{"no keywords", must(pb.NewMatchKeywords("city")), []uint64{}},
		{"integer", must(pb.NewMatchInt("n", 2)), []uint64{2, 5}},
		{"integers", must(pb.NewMatchInts("n", 1, 9)), []uint64{1, 5}},
		{"bool", must(pb.NewMatchBool("ok", false)), []uint64{2}},
		{"except keywords", must(pb.NewMatchExcept("city", "Berlin")), []uint64{2, 3}},
		{"except integers", must(pb.NewMatchExceptInts("n", 1, 2)), []uint64{3, 4, 5}},
		{"text", must(pb.NewMatchText("city", "on")), []uint64{2}},
		{"path", must(pb.NewMatch("o.k", "y")), []uint64{2}},
		{"path with all elements", must(pb.NewMatch("list[].q", "v")), []uint64{5}},
		{"path with index", must(pb.NewMatch("list[0].q", "v")), []uint64{}},
		{"path does not enter arrays", must(pb.NewMatch("list.q", "v")), []uint64{}},
		{"quoted path", must(pb.NewMatch(`"other.key"`, "dotted")), []uint64{6}},
	}
}

func otherCases() []filterCase {
	at := func(y int, m time.Month, d, h int) *timestamppb.Timestamp {
		return timestamppb.New(time.Date(y, m, d, h, 0, 0, 0, time.UTC))
	}
	nested := func(p int64, q string) *pb.Condition {
		return pb.NewNestedFilter("list", must(pb.NewMatchInt("p", p), pb.NewMatch("q", q)))
	}
	flag := func(f *pb.FieldCondition) *pb.Condition {
		return &pb.Condition{ConditionOneOf: &pb.Condition_Field{Field: f}}
	}
	return []filterCase{
		{"range", must(pb.NewRange("n", &pb.Range{Gte: proto.Float64(2), Lt: proto.Float64(9)})), []uint64{2, 3, 5}},
		{"range gt", must(pb.NewRange("n", &pb.Range{Gt: proto.Float64(2), Lte: proto.Float64(3.5)})), []uint64{3}},
		{"datetime", must(pb.NewDatetimeRange("at", &pb.DatetimeRange{Gte: at(2024, 6, 1, 0), Lt: at(2025, 1, 1, 0)})), []uint64{2, 3}},
		{"datetime gt", must(pb.NewDatetimeRange("at", &pb.DatetimeRange{Gt: at(2024, 6, 1, 0), Lte: at(2024, 12, 31, 23)})), []uint64{3}},
		{"is empty", must(pb.NewIsEmpty("tags")), []uint64{3, 5, 6}},
		{"is null", must(pb.NewIsNull("city")), []uint64{4}},
		{"is null in array", must(pb.NewIsNull("tags")), []uint64{4}},
		{"field is empty false", must(flag(&pb.FieldCondition{Key: "tags", IsEmpty: proto.Bool(false)})), []uint64{1, 2, 4}},
		{"field is null true", must(flag(&pb.FieldCondition{Key: "city", IsNull: proto.Bool(true)})), []uint64{4}},
		{"values count", must(pb.NewValuesCount("tags", &pb.ValuesCount{Gte: proto.Uint64(2)})), []uint64{1, 4}},
		{"values count 0", must(pb.NewValuesCount("tags", &pb.ValuesCount{Lt: proto.Uint64(1)})), []uint64{3, 5, 6}},
		{"has id", must(pb.NewHasID(pb.NewIDNum(3), pb.NewIDNum(1), pb.NewIDNum(99))), []uint64{1, 3}},
		{"has id and keyword", must(pb.NewHasID(pb.NewIDNum(3), pb.NewIDNum(1)), pb.NewMatch("city", "Berlin")), []uint64{1}},
		{"nested, same element", must(nested(2, "v")), []uint64{5}},
		{"nested, two elements", must(nested(1, "v")), []uint64{}},
		{"must not", &pb.Filter{MustNot: []*pb.Condition{pb.NewMatch("city", "Berlin"), pb.NewIsEmpty("tags")}}, []uint64{2, 4}},
		{"should", &pb.Filter{Should: []*pb.Condition{pb.NewMatch("city", "Paris"), pb.NewMatchBool("ok", true)}}, []uint64{1, 3}},
		{"must and should", &pb.Filter{
			Must:   []*pb.Condition{pb.NewMatch("city", "Berlin")},
			Should: []*pb.Condition{pb.NewMatchInt("n", 9), pb.NewMatch("city", "Paris")}}, []uint64{5}},
		{"min should", &pb.Filter{MinShould: &pb.MinShould{MinCount: 2, Conditions: []*pb.Condition{
			pb.NewMatch("city", "Berlin"), pb.NewMatch("tags", "b"), pb.NewMatchInt("n", 2)}}}, []uint64{1, 2, 5}},
		{"filter in must", must(pb.NewFilterAsCondition(must(pb.NewMatch("city", "Berlin"))), pb.NewFilterAsCondition(
			&pb.Filter{MustNot: []*pb.Condition{pb.NewMatchInt("n", 1)}})), []uint64{5}},
		{"filter in must not", &pb.Filter{MustNot: []*pb.Condition{pb.NewFilterAsCondition(
			must(pb.NewMatch("city", "Berlin"), pb.NewMatchInt("n", 1)))}}, []uint64{2, 3, 4, 5, 6}},
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	c := setup(t, 2, pb.Distance_Dot)
	upsert(t, c, filterPoints()...)
	run := func(t *testing.T) {
		for _, tt := range append(matchCases(), otherCases()...) {
			t.Run(tt.name, func(t *testing.T) {
				wantIDs(t, scrollIDs(t, c, tt.filter), tt.want...)
				if n := count(t, c, tt.filter); n != uint64(len(tt.want)) {
					t.Errorf("count %d, want %d", n, len(tt.want))
				}
				if hits := query(t, c, &pb.QueryPoints{Query: pb.NewQuery(1, 0), Filter: tt.filter}); len(hits) != len(tt.want) {
					t.Errorf("search found %v, want %v", ids(hits), tt.want)
				}
			})
		}
	}
	// The order matters: an index must change nothing but the time taken.
	t.Run("without index", run)
	for field, kind := range map[string]pb.FieldType{
		"city": pb.FieldType_FieldTypeKeyword, "tags": pb.FieldType_FieldTypeKeyword, "n": pb.FieldType_FieldTypeInteger,
		"ok": pb.FieldType_FieldTypeBool, "at": pb.FieldType_FieldTypeDatetime, "o.k": pb.FieldType_FieldTypeKeyword, "list[].q": pb.FieldType_FieldTypeKeyword,
	} {
		createIndex(t, c, field, kind)
	}
	t.Run("with index", run)
	upsert(t, c, filterPoints()...) // rewriting keeps the entries
	t.Run("after rewrite", run)
}

func createIndex(t *testing.T, c *pb.Client, field string, kind pb.FieldType) {
	t.Helper()
	_, err := c.CreateFieldIndex(t.Context(), &pb.CreateFieldIndexCollection{
		CollectionName: "c", Wait: proto.Bool(true), FieldName: field, FieldType: kind.Enum()})
	if err != nil {
		t.Fatalf("create index on %s: %v", field, err)
	}
}

func TestBadFilters(t *testing.T) {
	t.Parallel()
	c := setup(t, 2, pb.Distance_Dot)
	deep := must(pb.NewMatch("a", "b"))
	for range 70 {
		deep = must(pb.NewFilterAsCondition(deep))
	}
	for name, f := range map[string]*pb.Filter{
		"empty condition": {Must: []*pb.Condition{{}}},
		"no test":         must(&pb.Condition{ConditionOneOf: &pb.Condition_Field{Field: &pb.FieldCondition{Key: "a"}}}),
		"empty key":       must(pb.NewMatch("", "b")),
		"bad path":        must(pb.NewMatch("a[x]", "b")),
		"bad uuid":        must(pb.NewHasID(pb.NewIDUUID("nonsense"))),
		"too deep":        deep,
		"has id nested":   must(pb.NewNestedFilter("a", must(pb.NewHasID(pb.NewIDNum(1))))),
	} {
		_, err := c.Count(t.Context(), &pb.CountPoints{CollectionName: "c", Filter: f})
		if wantCode(t, err, codes.InvalidArgument, ""); t.Failed() {
			t.Fatalf("case %s", name)
		}
	}
}
