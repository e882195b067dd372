package qdrant

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// Ensure implements vector.Store. An index that exists for another model is
// refused even if the dimension fits: vectors of two models do not compare.
func (s *Store) Ensure(ctx context.Context, idx vector.Index) error {
	if err := checkIndex(idx); err != nil {
		return err
	}
	info, err := s.describe(ctx, idx.Name)
	if err != nil {
		return err
	}
	if info == nil {
		if err := s.create(ctx, idx); err != nil {
			return err
		}
		if info, err = s.describe(ctx, idx.Name); err != nil {
			return err
		}
	}
	if err := checkLayout(info, idx); err != nil {
		return err
	}
	if err := s.checkModel(ctx, idx); err != nil {
		return err
	}
	return s.createIndexes(ctx, idx.Name, info.GetPayloadSchema())
}

// checkIndex refuses an incomplete index.
func checkIndex(idx vector.Index) error {
	switch {
	case idx.Name == "":
		return event.Invalid("index.name", "configure the index's name", "is empty")
	case idx.Model == "":
		return event.Invalid("index.model", "configure the embedding model", "is empty")
	case idx.Dimension < 1 || idx.Dimension > 65536:
		return event.Invalid("index.dimension", "configure the embedding model's dimension", "is %d, want 1 to 65536", idx.Dimension)
	}
	return nil
}

// describe returns what Qdrant knows of a collection, nil when it is missing.
func (s *Store) describe(ctx context.Context, name string) (info *pb.CollectionInfo, err error) {
	missing := false
	err = s.call(ctx, "describing index "+name, func(ctx context.Context) error {
		info, err = s.client.GetCollectionInfo(ctx, name)
		if missing = isMissing(err); missing {
			return nil
		}
		return err
	})
	if missing {
		return nil, err
	}
	return info, err
}

// create makes the collection, its payload indexes and then the alias, so that
// nothing is written before the indexes are there. Another process may be doing
// the same; each step accepts what the other one did.
func (s *Store) create(ctx context.Context, idx vector.Index) error {
	name := physicalName(idx)
	err := s.call(ctx, "creating collection "+name, func(ctx context.Context) error {
		err := s.client.CreateCollection(ctx, &pb.CreateCollection{
			CollectionName: name,
			VectorsConfig:  pb.NewVectorsConfig(&pb.VectorParams{Size: uint64(idx.Dimension), Distance: pb.Distance_Cosine}),
			// No global graph, one per tenant: every search has a tenant.
			HnswConfig: &pb.HnswConfigDiff{M: proto.Uint64(0), PayloadM: proto.Uint64(16)},
		})
		if err == nil {
			return nil
		}
		if exists, existsErr := s.client.CollectionExists(ctx, name); existsErr == nil && exists {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := s.createIndexes(ctx, name, nil); err != nil {
		return err
	}
	return s.call(ctx, "creating alias "+idx.Name, func(ctx context.Context) error {
		return s.client.CreateAlias(ctx, idx.Name, name)
	})
}

// checkLayout refuses a collection whose vectors are not the index's.
func checkLayout(info *pb.CollectionInfo, idx vector.Index) error {
	p := info.GetConfig().GetParams().GetVectorsConfig().GetParams()
	switch {
	case p == nil || p.GetDistance() != pb.Distance_Cosine:
		return event.Invalid("index.name", "use another index name", "collection %q has not one unnamed vector with cosine distance", idx.Name)
	case p.GetSize() != uint64(idx.Dimension):
		return dimensionError("index.dimension", idx.Dimension, int(p.GetSize()))
	}
	return nil
}

// checkModel refuses an alias that leads to another model's collection. A
// collection without alias, made by hand, is taken as it is.
func (s *Store) checkModel(ctx context.Context, idx vector.Index) error {
	var aliases []*pb.AliasDescription
	err := s.call(ctx, "listing aliases", func(ctx context.Context) (err error) {
		aliases, err = s.client.ListAliases(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for _, a := range aliases {
		if a.GetAliasName() == idx.Name && a.GetCollectionName() != physicalName(idx) {
			return event.Invalid("index.model", "use the model the index was made with, or a new index name and ingest anew",
				"index %q holds vectors of another model (collection %s, want %s)", idx.Name, a.GetCollectionName(), physicalName(idx))
		}
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

// payloadIndexes are the indexes the filters of this package need.
func payloadIndexes(collection string) map[string]*pb.CreateFieldIndexCollection {
	index := func(field string, t pb.FieldType, params *pb.PayloadIndexParams) *pb.CreateFieldIndexCollection {
		return &pb.CreateFieldIndexCollection{
			CollectionName: collection, Wait: proto.Bool(true), FieldName: field, FieldType: t.Enum(), FieldIndexParams: params,
		}
	}
	return map[string]*pb.CreateFieldIndexCollection{
		keyTenant:     index(keyTenant, pb.FieldType_FieldTypeKeyword, pb.NewPayloadIndexParamsKeyword(&pb.KeywordIndexParams{IsTenant: proto.Bool(true)})),
		keyCollection: index(keyCollection, pb.FieldType_FieldTypeKeyword, nil),
		keyDocument:   index(keyDocument, pb.FieldType_FieldTypeKeyword, nil),
		keyVersion: index(keyVersion, pb.FieldType_FieldTypeInteger, pb.NewPayloadIndexParamsInt(&pb.IntegerIndexParams{
			Lookup: proto.Bool(false), Range: proto.Bool(true),
		})),
	}
}

// physicalName is the collection behind an index: name, model and dimension. A
// name that had to be changed to be legal ends in a hash of what it was, so that
// two models never share a collection.
func physicalName(idx vector.Index) string {
	raw := fmt.Sprintf("%s_%s_%d", idx.Name, idx.Model, idx.Dimension)
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, raw)
	if clean == raw && len(clean) <= 255 {
		return clean
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(raw)) // never fails
	return clean[:min(len(clean), 230)] + "_" + hex.EncodeToString(h.Sum(nil))
}
