package qdrant

import (
	"context"
	"maps"
	"slices"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// Ensure implements vector.Store. Payload indexes that are missing are made; the
// alias comes last, so that nobody follows it to a collection without them.
func (s *Store) Ensure(ctx context.Context, idx vector.Index) error {
	if err := checkIndex(idx); err != nil {
		return err
	}
	name := physicalName(idx)
	info, err := s.describe(ctx, name)
	if err != nil {
		return err
	}
	if info == nil {
		if err := s.create(ctx, idx); err != nil {
			return err
		}
		if info, err = s.describe(ctx, name); err != nil {
			return err
		}
	}
	if err := checkLayout(info, idx); err != nil {
		return err
	}
	if err := s.createIndexes(ctx, name, info.GetPayloadSchema()); err != nil {
		return err
	}
	if target, err := s.target(ctx, idx.Name); err != nil || target != "" {
		return err
	}
	return s.alias(ctx, idx)
}

// describe returns what Qdrant knows of a collection, nil when it is missing.
func (s *Store) describe(ctx context.Context, name string) (info *pb.CollectionInfo, err error) {
	err = s.read(ctx, "describing collection "+name, func(ctx context.Context) (err error) {
		info, err = s.client.GetCollectionInfo(ctx, name) // nil with any error
		return err
	})
	return info, err
}

// create makes the collection. Another process may be doing the same; that it
// exists already is fine.
func (s *Store) create(ctx context.Context, idx vector.Index) error {
	name := physicalName(idx)
	return s.call(ctx, "creating collection "+name, func(ctx context.Context) error {
		err := s.client.CreateCollection(ctx, &pb.CreateCollection{
			CollectionName: name,
			VectorsConfig: pb.NewVectorsConfigMap(map[string]*pb.VectorParams{
				string(vector.Dense): {Size: uint64(idx.Dimension), Distance: pb.Distance_Cosine},
			}),
			SparseVectorsConfig: pb.NewSparseVectorsConfig(map[string]*pb.SparseVectorParams{
				string(vector.BM25):  {Modifier: pb.Modifier_Idf.Enum()},
				string(vector.Grams): {Modifier: pb.Modifier_Idf.Enum()},
			}),
			// No global graph, one per tenant: every search has a tenant.
			HnswConfig: &pb.HnswConfigDiff{M: proto.Uint64(0), PayloadM: proto.Uint64(16)},
			Metadata:   indexMetadata(idx),
		})
		if err == nil {
			return nil
		}
		if exists, existsErr := s.client.CollectionExists(ctx, name); existsErr == nil && exists {
			return nil
		}
		return err
	})
}

// checkLayout refuses a collection whose vectors are not the index's.
func checkLayout(info *pb.CollectionInfo, idx vector.Index) error {
	params := info.GetConfig().GetParams()
	dense := params.GetVectorsConfig().GetParamsMap().GetMap()[string(vector.Dense)]
	sparse := params.GetSparseVectorsConfig().GetMap()
	got, ok := indexOf(info)
	switch {
	case !ok || dense == nil || dense.GetDistance() != pb.Distance_Cosine || sparse[string(vector.BM25)] == nil || sparse[string(vector.Grams)] == nil:
		return notOurs(physicalName(idx))
	case dense.GetSize() != uint64(idx.Dimension):
		return dimensionError("index.dimension", idx.Dimension, int(dense.GetSize()))
	case got != idx:
		return event.Invalid("index.name", "use another index name",
			"collection %q belongs to index %q of model %q", physicalName(idx), got.Name, got.Model)
	}
	return nil
}

// createIndexes creates the payload indexes that existing lacks.
func (s *Store) createIndexes(ctx context.Context, collection string, existing map[string]*pb.PayloadSchemaInfo) error {
	wanted := payloadIndexes(collection)
	for _, field := range slices.Sorted(maps.Keys(wanted)) {
		if existing[field] != nil {
			continue
		}
		err := s.call(ctx, "creating payload index "+field, func(ctx context.Context) error {
			_, err := s.client.CreateFieldIndex(ctx, wanted[field])
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// payloadIndexes are the indexes the filters of this package need; metadata is
// filtered without one, since its keys are not known.
func payloadIndexes(collection string) map[string]*pb.CreateFieldIndexCollection {
	out := map[string]*pb.CreateFieldIndexCollection{}
	add := func(field string, t pb.FieldType, params *pb.PayloadIndexParams) {
		out[field] = &pb.CreateFieldIndexCollection{
			CollectionName: collection, Wait: proto.Bool(true), FieldName: field, FieldType: t.Enum(), FieldIndexParams: params,
		}
	}
	for _, field := range []string{keyCollection, keyDocument, keyHash, keyACL} {
		add(field, pb.FieldType_FieldTypeKeyword, nil)
	}
	add(keyTenant, pb.FieldType_FieldTypeKeyword, pb.NewPayloadIndexParamsKeyword(&pb.KeywordIndexParams{IsTenant: proto.Bool(true)}))
	add(keyVersion, pb.FieldType_FieldTypeInteger, pb.NewPayloadIndexParamsInt(&pb.IntegerIndexParams{
		Lookup: proto.Bool(false), Range: proto.Bool(true),
	}))
	return out
}
