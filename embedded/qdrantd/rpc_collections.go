package qdrantd

import (
	"context"
	"strings"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"
)

// collectionsService answers the Collections service. Rpcs it lacks answer
// codes.Unimplemented.
type collectionsService struct {
	pb.UnimplementedCollectionsServer
	cat *catalog
}

// denseParams lists the dense vectors of a config by name.
func denseParams(config *pb.CreateCollection) map[string]*pb.VectorParams {
	if p := config.GetVectorsConfig().GetParams(); p != nil {
		return map[string]*pb.VectorParams{"": p}
	}
	return config.GetVectorsConfig().GetParamsMap().GetMap()
}

// checkName refuses names that real Qdrant refuses.
func checkName(field, name string) error {
	if len(name) < 1 || len(name) > 255 || strings.ContainsAny(name, "<>:\"/\\|?*\x00\x1f") {
		return badInput("%s: value %q invalid, must be 1 to 255 characters without any of <>:\"/\\|?*", field, name)
	}
	return nil
}

// checkConfig refuses a collection the store cannot hold.
func checkConfig(req *pb.CreateCollection) error {
	if err := checkName("collection_name", req.GetCollectionName()); err != nil {
		return err
	}
	dense := denseParams(req)
	for name, p := range dense {
		if err := checkDenseParams(name, p); err != nil {
			return err
		}
	}
	for name, p := range req.GetSparseVectorsConfig().GetMap() {
		if _, twice := dense[name]; twice {
			return badInput("vector name %q is both dense and sparse", name)
		}
		if err := checkSparseParams(name, p); err != nil {
			return err
		}
	}
	return nil
}

func checkDenseParams(name string, p *pb.VectorParams) error {
	if p.GetSize() < 1 || p.GetSize() > 65536 {
		return badInput("vectors_config: size of vector %q is %d, must be from 1 to 65536", name, p.GetSize())
	}
	switch p.GetDistance() {
	case pb.Distance_Cosine, pb.Distance_Dot, pb.Distance_Euclid, pb.Distance_Manhattan:
	default:
		return badInput("vectors_config: distance of vector %q is %s", name, p.GetDistance())
	}
	return checkDatatype("VectorParams.datatype", p.GetDatatype())
}

func checkSparseParams(name string, p *pb.SparseVectorParams) error {
	if name == "" {
		return badInput("sparse_vectors_config: a sparse vector needs a name")
	}
	if m := p.GetModifier(); m != pb.Modifier_None && m != pb.Modifier_Idf {
		return badInput("sparse_vectors_config: modifier of vector %q is %s", name, m)
	}
	return checkDatatype("SparseIndexConfig.datatype", p.GetIndex().GetDatatype())
}

// checkDatatype refuses storage types other than float32.
func checkDatatype(field string, t pb.Datatype) error {
	if t == pb.Datatype_Default || t == pb.Datatype_Float32 {
		return nil
	}
	return unsupported(field + " " + t.String())
}

// Create makes a collection.
func (s *collectionsService) Create(_ context.Context, req *pb.CreateCollection) (*pb.CollectionOperationResponse, error) {
	start := time.Now()
	if err := checkConfig(req); err != nil {
		return nil, err
	}
	if err := s.cat.create(proto.CloneOf(req)); err != nil {
		return nil, err
	}
	return &pb.CollectionOperationResponse{Result: true, Time: seconds(start)}, nil
}

// Delete removes a collection. As in real Qdrant an alias is not followed, and
// a name that does not exist answers false.
func (s *collectionsService) Delete(_ context.Context, req *pb.DeleteCollection) (*pb.CollectionOperationResponse, error) {
	start := time.Now()
	ok, err := s.cat.remove(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	return &pb.CollectionOperationResponse{Result: ok, Time: seconds(start)}, nil
}

// List names the collections.
func (s *collectionsService) List(context.Context, *pb.ListCollectionsRequest) (*pb.ListCollectionsResponse, error) {
	start := time.Now()
	resp := &pb.ListCollectionsResponse{}
	for _, name := range s.cat.names() {
		resp.Collections = append(resp.Collections, &pb.CollectionDescription{Name: name})
	}
	resp.Time = seconds(start)
	return resp, nil
}

// CollectionExists reports whether a collection or an alias of that name exists.
func (s *collectionsService) CollectionExists(_ context.Context, req *pb.CollectionExistsRequest) (*pb.CollectionExistsResponse, error) {
	start := time.Now()
	exists := s.cat.exists(req.GetCollectionName())
	return &pb.CollectionExistsResponse{Result: &pb.CollectionExists{Exists: exists}, Time: seconds(start)}, nil
}

// Get describes a collection.
func (s *collectionsService) Get(_ context.Context, req *pb.GetCollectionInfoRequest) (*pb.GetCollectionInfoResponse, error) {
	start := time.Now()
	var info *pb.CollectionInfo
	err := s.cat.with(req.GetCollectionName(), func(col *collection) error {
		return col.view(func(r *reader) error { info = r.info(); return nil })
	})
	return &pb.GetCollectionInfoResponse{Result: info, Time: seconds(start)}, err
}

// info describes the collection; its tuning is echoed as it was given.
func (r *reader) info() *pb.CollectionInfo {
	c := proto.CloneOf(r.col.config)
	return &pb.CollectionInfo{
		Status:              pb.CollectionStatus_Green,
		OptimizerStatus:     &pb.OptimizerStatus{Ok: true},
		SegmentsCount:       1,
		PointsCount:         proto.Uint64(r.total),
		IndexedVectorsCount: proto.Uint64(0), // search is exact: no vector index
		PayloadSchema:       r.schema(),
		Config: &pb.CollectionConfig{
			Params: &pb.CollectionParams{
				ShardNumber: 1, OnDiskPayload: c.OnDiskPayload == nil || *c.OnDiskPayload,
				VectorsConfig: c.VectorsConfig, SparseVectorsConfig: c.SparseVectorsConfig,
				ReplicationFactor: proto.Uint32(1), WriteConsistencyFactor: proto.Uint32(1),
			},
			HnswConfig: orEmpty(c.HnswConfig), OptimizerConfig: orEmpty(c.OptimizersConfig), WalConfig: orEmpty(c.WalConfig),
			QuantizationConfig: c.QuantizationConfig, Metadata: c.Metadata,
		},
	}
}

// orEmpty is p, or an empty message where clients expect one to be there.
func orEmpty[T any](p *T) *T {
	if p == nil {
		return new(T)
	}
	return p
}

// UpdateAliases applies all alias changes at once, or none.
func (s *collectionsService) UpdateAliases(_ context.Context, req *pb.ChangeAliases) (*pb.CollectionOperationResponse, error) {
	start := time.Now()
	if err := s.cat.changeAliases(req.GetActions()); err != nil {
		return nil, err
	}
	return &pb.CollectionOperationResponse{Result: true, Time: seconds(start)}, nil
}

// ListAliases lists all aliases.
func (s *collectionsService) ListAliases(context.Context, *pb.ListAliasesRequest) (*pb.ListAliasesResponse, error) {
	start := time.Now()
	return &pb.ListAliasesResponse{Aliases: s.cat.listAliases(""), Time: seconds(start)}, nil
}

// ListCollectionAliases lists the aliases of one collection.
func (s *collectionsService) ListCollectionAliases(_ context.Context, req *pb.ListCollectionAliasesRequest) (*pb.ListAliasesResponse, error) {
	start := time.Now()
	if err := checkName("collection_name", req.GetCollectionName()); err != nil {
		return nil, err
	}
	return &pb.ListAliasesResponse{Aliases: s.cat.listAliases(req.GetCollectionName()), Time: seconds(start)}, nil
}

// seconds is the time since start, as replies give it.
func seconds(start time.Time) float64 { return time.Since(start).Seconds() }
