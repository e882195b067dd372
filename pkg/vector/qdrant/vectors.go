package qdrant

import (
	"context"
	"slices"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// Vectors implements vector.Store. The vectors are scaled to length 1.
func (s *Store) Vectors(ctx context.Context, idx vector.Index, tenant string, hashes []string) (map[string][]float32, error) {
	if tenant == "" {
		return nil, event.Invalid("tenant", "set the tenant", "is empty")
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(hashes)))
	out := make(map[string][]float32, len(distinct))
	for part := range slices.Chunk(distinct, pageVectors) {
		if err := s.addVectors(ctx, idx, tenant, part, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// addVectors looks up some hashes in at most two requests. One page has them all
// unless a hash has many points; those it lacks are then asked for one by one,
// one point of each.
func (s *Store) addVectors(ctx context.Context, idx vector.Index, tenant string, hashes []string, out map[string][]float32) error {
	with, payload := pb.NewWithVectorsInclude(string(vector.Dense)), pb.NewWithPayloadInclude(keyHash)
	page, whole, err := s.scroll(ctx, &pb.ScrollPoints{
		CollectionName: physicalName(idx), Filter: hashFilter(tenant, hashes...), Limit: proto.Uint32(uint32(len(hashes))),
		WithPayload: payload, WithVectors: with,
	})
	if err != nil {
		return err
	}
	addPage(page, out)
	missing := slices.DeleteFunc(slices.Clone(hashes), func(h string) bool { return out[h] != nil })
	if whole || len(missing) == 0 {
		return nil
	}
	requests := make([]*pb.QueryPoints, len(missing))
	for i, h := range missing {
		requests[i] = &pb.QueryPoints{
			CollectionName: physicalName(idx), Filter: hashFilter(tenant, h), Limit: proto.Uint64(1), WithPayload: payload, WithVectors: with,
		}
	}
	return s.read(ctx, "reading vectors of "+idx.Name, func(ctx context.Context) error {
		results, err := s.client.QueryBatch(ctx, &pb.QueryBatchPoints{CollectionName: physicalName(idx), QueryPoints: requests})
		for _, r := range results {
			addPage(r.GetResult(), out)
		}
		return err
	})
}

// hashFilter selects a tenant's points with one of the hashes.
func hashFilter(tenant string, hashes ...string) *pb.Filter {
	return partFilter(vector.Scope{Tenant: tenant}, pb.NewMatchKeywords(keyHash, hashes...))
}

// addPage adds the dense vectors of points by their hash.
func addPage[P interface {
	GetPayload() map[string]*pb.Value
	GetVectors() *pb.VectorsOutput
}](points []P, out map[string][]float32) {
	for _, p := range points {
		named := p.GetVectors().GetVectors().GetVectors()
		if v := denseData(named[string(vector.Dense)]); len(v) > 0 {
			out[p.GetPayload()[keyHash].GetStringValue()] = v
		}
	}
}

// denseData reads a dense vector in the current or the older form of the
// message (servers before 1.16).
func denseData(v *pb.VectorOutput) []float32 {
	if d := v.GetDense().GetData(); len(d) > 0 {
		return d
	}
	return v.GetData() //nolint:staticcheck // older servers send it
}
