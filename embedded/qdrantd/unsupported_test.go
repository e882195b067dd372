package qdrantd_test

import (
	"testing"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// TestUnsupportedIsRefused sends what the server does not support: each must be
// refused with its name, never ignored.
func TestUnsupportedIsRefused(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	upsert(t, c, num(1, nil, 1))
	q := func(req *pb.QueryPoints) func() error {
		return func() error {
			req.CollectionName = "c"
			_, err := c.Query(t.Context(), req)
			return err
		}
	}
	shard := &pb.ShardKeySelector{ShardKeys: []*pb.ShardKey{pb.NewShardKey("a")}}
	for want, call := range map[string]func() error{
		"QueryPoints.query.formula":          q(&pb.QueryPoints{Query: pb.NewQueryFormula(&pb.Formula{Expression: pb.NewExpressionConstant(1)})}),
		"QueryPoints.query.sample":           q(&pb.QueryPoints{Query: pb.NewQuerySample(pb.Sample_Random)}),
		"QueryPoints.query.recommend":        q(&pb.QueryPoints{Query: pb.NewQueryRecommend(&pb.RecommendInput{})}),
		"QueryPoints.query.nearest.document": q(&pb.QueryPoints{Query: pb.NewQueryNearest(pb.NewVectorInputDocument(&pb.Document{Text: "x"}))}),
		"QueryPoints.shard_key_selector":     q(&pb.QueryPoints{Query: pb.NewQuery(1), ShardKeySelector: shard}),
		"QueryPoints.prefetch.lookup_from": q(&pb.QueryPoints{Query: pb.NewQuery(1), Prefetch: []*pb.PrefetchQuery{
			{Query: pb.NewQuery(1), LookupFrom: &pb.LookupLocation{CollectionName: "d"}}}}),
		"QueryPoints.filter.must.field.geo_radius": q(&pb.QueryPoints{Filter: must(pb.NewGeoRadius("a", 1, 2, 3))}),
		"QueryPoints.filter.must.has_vector":       q(&pb.QueryPoints{Filter: must(pb.NewHasVector("a"))}),
		"QueryPoints.filter.must.field.match.phrase": q(&pb.QueryPoints{Filter: must(&pb.Condition{ConditionOneOf: &pb.Condition_Field{
			Field: &pb.FieldCondition{Key: "a", Match: &pb.Match{MatchValue: &pb.Match_Phrase{Phrase: "x"}}}}})}),
		"several tests": q(&pb.QueryPoints{Filter: must(&pb.Condition{ConditionOneOf: &pb.Condition_Field{
			Field: &pb.FieldCondition{Key: "a", Range: &pb.Range{}, IsNull: proto.Bool(true)}}})}),
		"with_payload": q(&pb.QueryPoints{WithPayload: pb.NewWithPayloadInclude("a.b")}),
		"UpsertPoints.points.vectors.vector.multi_dense": func() error {
			_, err := c.Upsert(t.Context(), &pb.UpsertPoints{CollectionName: "c", Points: []*pb.PointStruct{
				{Id: pb.NewIDNum(1), Vectors: pb.NewVectorsMulti([][]float32{{1}})}}})
			return err
		},
		"SetPayloadPoints.key": func() error {
			_, err := c.SetPayload(t.Context(), &pb.SetPayloadPoints{CollectionName: "c", Key: proto.String("a")})
			return err
		},
		"QueryPointGroups.with_lookup": func() error {
			_, err := c.QueryGroups(t.Context(), &pb.QueryPointGroups{CollectionName: "c", GroupBy: "a", WithLookup: &pb.WithLookup{Collection: "d"}})
			return err
		},
		"CreateCollection.strict_mode_config": func() error {
			return c.CreateCollection(t.Context(), &pb.CreateCollection{CollectionName: "d", StrictModeConfig: &pb.StrictModeConfig{Enabled: proto.Bool(true)}})
		},
		"CreateCollection.vectors_config.params.multivector_config": func() error {
			return c.CreateCollection(t.Context(), &pb.CreateCollection{CollectionName: "d", VectorsConfig: pb.NewVectorsConfig(
				&pb.VectorParams{Size: 1, Distance: pb.Distance_Dot, MultivectorConfig: &pb.MultiVectorConfig{}})})
		},
		"VectorParams.datatype Uint8": func() error {
			return c.CreateCollection(t.Context(), &pb.CreateCollection{CollectionName: "d", VectorsConfig: pb.NewVectorsConfig(
				&pb.VectorParams{Size: 1, Distance: pb.Distance_Dot, Datatype: pb.Datatype_Uint8.Enum()})})
		},
		"field index type Text": func() error {
			_, err := c.CreateFieldIndex(t.Context(), &pb.CreateFieldIndexCollection{CollectionName: "c", FieldName: "a", FieldType: pb.FieldType_FieldTypeText.Enum()})
			return err
		},
		"/qdrant.Snapshots/CreateFull": func() error {
			_, err := c.CreateFullSnapshot(t.Context())
			return err
		},
		"/qdrant.Points/UpdateBatch": func() error {
			_, err := c.UpdateBatch(t.Context(), &pb.UpdateBatchPoints{CollectionName: "c"})
			return err
		},
	} {
		wantCode(t, call(), codes.Unimplemented, want)
	}
}

// TestUnknownFieldIsRefused sends a field that this API version does not have,
// as a newer client would.
func TestUnknownFieldIsRefused(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	f := must(pb.NewMatch("a", "b"))
	f.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 1))
	_, err := c.Count(t.Context(), &pb.CountPoints{CollectionName: "c", Filter: f})
	wantCode(t, err, codes.InvalidArgument, "CountPoints.filter holds a field")
}

// TestIgnoredFieldsAreAccepted sends the fields that have no effect here.
func TestIgnoredFieldsAreAccepted(t *testing.T) {
	t.Parallel()
	c := setup(t, 1, pb.Distance_Dot)
	_, err := c.Upsert(t.Context(), &pb.UpsertPoints{CollectionName: "c", Points: []*pb.PointStruct{num(1, nil, 1)},
		Timeout: proto.Uint64(5), Ordering: &pb.WriteOrdering{Type: pb.WriteOrderingType_Strong}})
	if err != nil {
		t.Errorf("upsert: %v", err)
	}
	wantScored(t, query(t, c, &pb.QueryPoints{Query: pb.NewQuery(1), Timeout: proto.Uint64(5),
		ReadConsistency: pb.NewReadConsistencyType(pb.ReadConsistencyType_All),
		Params:          &pb.SearchParams{HnswEf: proto.Uint64(9), Exact: proto.Bool(false)}}), scored{1, 1})
	err = c.CreateCollection(t.Context(), &pb.CreateCollection{CollectionName: "d", HnswConfig: &pb.HnswConfigDiff{M: proto.Uint64(0)},
		VectorsConfig:      pb.NewVectorsConfig(&pb.VectorParams{Size: 1, Distance: pb.Distance_Dot, OnDisk: proto.Bool(true)}),
		QuantizationConfig: pb.NewQuantizationScalar(&pb.ScalarQuantization{Type: pb.QuantizationType_Int8})})
	if err != nil {
		t.Errorf("create: %v", err)
	}
	info, err := c.GetCollectionInfo(t.Context(), "d")
	if err != nil || info.GetConfig().GetHnswConfig().M == nil || info.GetConfig().GetQuantizationConfig().GetScalar() == nil {
		t.Errorf("tuning is not echoed: %v, error %v", info, err)
	}
}
