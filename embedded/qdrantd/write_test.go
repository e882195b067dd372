package qdrantd_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

func TestUpsertReplacesWholePoints(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	upsert(t, c, num(1, map[string]any{"a": 1, "b": 2}, 1), num(1, map[string]any{"a": 3}, 2)) // the last of a batch wins
	if p := get(t, c, 1); len(p) != 1 || p["a"].GetIntegerValue() != 3 {
		t.Errorf("payload %v, want a=3", p)
	}
	upsert(t, c, num(1, nil, 2))
	if p := get(t, c, 1); p == nil || len(p) != 0 {
		t.Errorf("payload %v, want an empty one", p)
	}
	if n := count(t, c, nil); n != 1 {
		t.Errorf("count %d, want 1", n)
	}
}

func TestUpsertIsAllOrNothing(t *testing.T) {
	t.Parallel()
	c := setup(t, 2, pb.Distance_Dot)
	for name, bad := range map[string]*pb.PointStruct{
		"length":  num(2, nil, 1),
		"no id":   {Vectors: pb.NewVectors(1, 2)},
		"no data": {Id: pb.NewIDNum(2)},
		"uuid":    {Id: pb.NewIDUUID("x"), Vectors: pb.NewVectors(1, 2)},
		"name":    {Id: pb.NewIDNum(2), Vectors: pb.NewVectorsMap(map[string]*pb.Vector{"nope": pb.NewVector(1, 2)})},
		"sparse":  {Id: pb.NewIDNum(2), Vectors: pb.NewVectorsSparse([]uint32{1}, []float32{1})},
	} {
		_, err := c.Upsert(t.Context(), &pb.UpsertPoints{CollectionName: "c", Points: []*pb.PointStruct{num(1, nil, 1, 2), bad}})
		wantCode(t, err, codes.InvalidArgument, "")
		if n := count(t, c, nil); n != 0 {
			t.Fatalf("%s: %d points stored, want none", name, n)
		}
	}
	_, err := c.Upsert(t.Context(), &pb.UpsertPoints{CollectionName: "c", Points: []*pb.PointStruct{num(1, nil, 1)}})
	wantCode(t, err, codes.InvalidArgument, "Vector dimension error: expected dim: 2, got 1")
}

func TestConditionalUpsert(t *testing.T) {
	t.Parallel()
	older := must(pb.NewRange("v", &pb.Range{Lt: proto.Float64(5)}))
	for _, tt := range []struct {
		name   string
		filter *pb.Filter
		mode   *pb.UpdateMode
		want   string // who wrote points 1 (v 3), 2 (v 7) and 3 (new)
	}{
		{"plain", nil, nil, "new new new"},
		{"filter", older, nil, "new old new"},
		{"insert only", nil, pb.UpdateMode_InsertOnly.Enum(), "old old new"},
		{"update only", nil, pb.UpdateMode_UpdateOnly.Enum(), "new new <nil>"},
		{"update only with filter", older, pb.UpdateMode_UpdateOnly.Enum(), "new old <nil>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := setup(t, 1, pb.Distance_Dot)
			by := func(who string, id uint64, v int) *pb.PointStruct {
				return num(id, map[string]any{"by": who, "v": v}, 1)
			}
			upsert(t, c, by("old", 1, 3), by("old", 2, 7))
			_, err := c.Upsert(t.Context(), &pb.UpsertPoints{CollectionName: "c", UpdateFilter: tt.filter, UpdateMode: tt.mode,
				Points: []*pb.PointStruct{by("new", 1, 5), by("new", 2, 5), by("new", 3, 5)}})
			if err != nil {
				t.Fatalf("upsert: %v", err)
			}
			var got []any
			for id := range uint64(3) {
				if p := get(t, c, id+1); p != nil {
					got = append(got, p["by"].GetStringValue())
				} else {
					got = append(got, nil)
				}
			}
			if s := fmt.Sprintf("%v %v %v", got...); s != tt.want {
				t.Errorf("written by %s, want %s", s, tt.want)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	createIndex(t, c, "k", pb.FieldType_FieldTypeKeyword)
	for i := range uint64(6) {
		upsert(t, c, num(i, map[string]any{"k": fmt.Sprint(i % 2)}, 1))
	}
	del := func(s *pb.PointsSelector) {
		if _, err := c.Delete(t.Context(), &pb.DeletePoints{CollectionName: "c", Points: s}); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	del(pb.NewPointsSelector(pb.NewIDNum(0), pb.NewIDNum(0), pb.NewIDNum(77)))
	wantIDs(t, scrollIDs(t, c, nil), 1, 2, 3, 4, 5)
	del(pb.NewPointsSelectorFilter(must(pb.NewMatch("k", "1"))))
	wantIDs(t, scrollIDs(t, c, nil), 2, 4)
	wantIDs(t, scrollIDs(t, c, must(pb.NewMatch("k", "1"))))
	wantIDs(t, ids(query(t, c, &pb.QueryPoints{Query: pb.NewQuery(1)})), 4, 2)
	upsert(t, c, num(1, map[string]any{"k": "1"}, 1))
	wantIDs(t, scrollIDs(t, c, must(pb.NewMatch("k", "1"))), 1)
	_, err := c.Delete(t.Context(), &pb.DeletePoints{CollectionName: "c"})
	wantCode(t, err, codes.InvalidArgument, "selector")
}

func TestPayloadChanges(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	createIndex(t, c, "k", pb.FieldType_FieldTypeKeyword)
	upsert(t, c, num(1, map[string]any{"k": "a", "x": 1}, 1), num(2, map[string]any{"k": "b"}, 1))
	one := pb.NewPointsSelector(pb.NewIDNum(1))
	ok := func(_ *pb.UpdateResult, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("payload change: %v", err)
		}
	}
	set := pb.NewValueMap(map[string]any{"k": "b", "y": 2})
	ok(c.SetPayload(t.Context(), &pb.SetPayloadPoints{CollectionName: "c", PointsSelector: one, Payload: set}))
	if p := get(t, c, 1); len(p) != 3 || p["k"].GetStringValue() != "b" {
		t.Errorf("after set: %v", p)
	}
	wantIDs(t, scrollIDs(t, c, must(pb.NewMatch("k", "b"))), 1, 2)
	ok(c.DeletePayload(t.Context(), &pb.DeletePayloadPoints{CollectionName: "c", PointsSelector: one, Keys: []string{"x", "k"}}))
	wantIDs(t, scrollIDs(t, c, must(pb.NewMatch("k", "b"))), 2)
	ok(c.OverwritePayload(t.Context(), &pb.SetPayloadPoints{CollectionName: "c", PointsSelector: one, Payload: pb.NewValueMap(map[string]any{"z": 1})}))
	if p := get(t, c, 1); len(p) != 1 || p["z"] == nil {
		t.Errorf("after overwrite: %v", p)
	}
	ok(c.ClearPayload(t.Context(), &pb.ClearPayloadPoints{CollectionName: "c", Points: one}))
	if p := get(t, c, 1); p == nil || len(p) != 0 {
		t.Errorf("after clear: %v", p)
	}
	_, err := c.SetPayload(t.Context(), &pb.SetPayloadPoints{CollectionName: "c", PointsSelector: pb.NewPointsSelector(pb.NewIDNum(9)), Payload: set})
	wantCode(t, err, codes.NotFound, "No point with id 9 found")
}

func TestFieldIndexes(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	upsert(t, c, num(1, map[string]any{"k": "a"}, 1), num(2, map[string]any{"k": []any{"a", "a", "b"}}, 1), num(3, map[string]any{"k": 5}, 1))
	createIndex(t, c, "k", pb.FieldType_FieldTypeKeyword)
	info, err := c.GetCollectionInfo(t.Context(), "c")
	if err != nil {
		t.Fatalf("info: %v", err)
	}
	if s := info.GetPayloadSchema()["k"]; s.GetDataType() != pb.PayloadSchemaType_Keyword || info.GetPointsCount() != 3 {
		t.Errorf("info %v", info)
	}
	wantIDs(t, scrollIDs(t, c, must(pb.NewMatch("k", "a"))), 1, 2)
	createIndex(t, c, "k", pb.FieldType_FieldTypeInteger) // another kind takes its place
	wantIDs(t, scrollIDs(t, c, must(pb.NewMatchInt("k", 5))), 3)
	wantIDs(t, scrollIDs(t, c, must(pb.NewMatch("k", "b"))), 2)
	if _, err := c.DeleteFieldIndex(t.Context(), &pb.DeleteFieldIndexCollection{CollectionName: "c", FieldName: "k"}); err != nil {
		t.Fatalf("delete index: %v", err)
	}
	if info, _ = c.GetCollectionInfo(t.Context(), "c"); len(info.GetPayloadSchema()) != 0 {
		t.Errorf("schema after delete: %v", info.GetPayloadSchema())
	}
	wantIDs(t, scrollIDs(t, c, must(pb.NewMatchInt("k", 5))), 3)
	if n := count(t, c, nil); n != 3 {
		t.Errorf("count %d, want 3", n)
	}
}

func TestScrollPages(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	id := "0f0e0d0c-0b0a-4909-8807-060504030201"
	upsert(t, c, num(20, nil, 1), num(3, nil, 1), num(1<<63, nil, 1), &pb.PointStruct{Id: pb.NewIDUUID(id), Vectors: pb.NewVectors(1)})
	var got []string
	var offset *pb.PointId
	for range 10 {
		page, next, err := c.ScrollAndOffset(t.Context(), &pb.ScrollPoints{CollectionName: "c", Limit: proto.Uint32(3), Offset: offset})
		if err != nil {
			t.Fatalf("scroll: %v", err)
		}
		for _, p := range page {
			got = append(got, p.GetId().String())
		}
		if offset = next; next == nil {
			break
		}
	}
	want := []string{"num:3", "num:20", "num:9223372036854775808", `uuid:"` + id + `"`} // numbers before UUIDs
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWaitStatus(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	for wait, want := range map[bool]pb.UpdateStatus{true: pb.UpdateStatus_Completed, false: pb.UpdateStatus_Acknowledged} {
		res, err := c.Upsert(t.Context(), &pb.UpsertPoints{CollectionName: "c", Wait: proto.Bool(wait), Points: []*pb.PointStruct{num(1, nil, 1)}})
		if err != nil || res.GetStatus() != want {
			t.Errorf("wait=%v: status %v, error %v; want %v", wait, res.GetStatus(), err, want)
		}
	}
}

// TestConcurrentUse reads, writes, and creates and drops collections at once.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	var wg sync.WaitGroup
	for w := range uint64(4) {
		wg.Go(func() {
			for i := range uint64(25) {
				upsert(t, c, num(w*100+i, map[string]any{"w": w}, 1))
				query(t, c, &pb.QueryPoints{Query: pb.NewQuery(1), Filter: must(pb.NewMatchInt("w", int64(w)))})
			}
		})
		wg.Go(func() {
			for range 5 { // all fight for one name; none may break
				_ = c.CreateCollection(t.Context(), &pb.CreateCollection{
					CollectionName: "x", VectorsConfig: pb.NewVectorsConfig(&pb.VectorParams{Size: 1, Distance: pb.Distance_Dot})})
				_, _ = c.Upsert(t.Context(), &pb.UpsertPoints{CollectionName: "x", Points: []*pb.PointStruct{num(w, nil, 1)}})
				_ = c.DeleteCollection(t.Context(), "x")
			}
		})
	}
	wg.Wait()
	if n := count(t, c, nil); n != 100 {
		t.Errorf("count %d, want 100", n)
	}
}

// TestLongKeywords matches strings too long for an index key.
func TestLongKeywords(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	createIndex(t, c, "k", pb.FieldType_FieldTypeKeyword)
	long := strings.Repeat("x", 5000)
	upsert(t, c, num(1, map[string]any{"k": long + "a"}, 1), num(2, map[string]any{"k": long + "b"}, 1))
	wantIDs(t, scrollIDs(t, c, must(pb.NewMatch("k", long+"b"))), 2)
	wantIDs(t, scrollIDs(t, c, must(pb.NewMatch("k", long))))
}

// TestOlderVectorForm sends vectors as clients before 1.16 do.
func TestOlderVectorForm(t *testing.T) {
	t.Parallel()
	c := setup(t, 2, pb.Distance_Dot)
	v := &pb.Vectors{VectorsOptions: &pb.Vectors_Vector{Vector: &pb.Vector{Data: []float32{2, 3}}}} //nolint:staticcheck // as older clients send it
	upsert(t, c, &pb.PointStruct{Id: pb.NewIDNum(1), Vectors: v})
	wantScored(t, query(t, c, &pb.QueryPoints{Query: pb.NewQuery(1, 1)}), scored{1, 5})
}
