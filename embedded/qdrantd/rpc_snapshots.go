package qdrantd

import (
	"context"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
)

// snapshotsService answers the Snapshots service for single collections. Those
// of the whole storage answer codes.Unimplemented.
type snapshotsService struct {
	pb.UnimplementedSnapshotsServer
	cat *catalog
}

// Create copies a collection.
func (s *snapshotsService) Create(_ context.Context, req *pb.CreateSnapshotRequest) (*pb.CreateSnapshotResponse, error) {
	start := time.Now()
	col, release, err := s.cat.use(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	defer release()
	d, err := s.cat.createSnapshot(col, start)
	if err != nil {
		return nil, asStatus(err)
	}
	return &pb.CreateSnapshotResponse{SnapshotDescription: d, Time: seconds(start)}, nil
}

// List lists a collection's snapshots.
func (s *snapshotsService) List(_ context.Context, req *pb.ListSnapshotsRequest) (*pb.ListSnapshotsResponse, error) {
	start := time.Now()
	col, release, err := s.cat.use(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	defer release()
	list, err := s.cat.listSnapshots(col.name)
	if err != nil {
		return nil, asStatus(err)
	}
	return &pb.ListSnapshotsResponse{SnapshotDescriptions: list, Time: seconds(start)}, nil
}

// Delete removes a snapshot.
func (s *snapshotsService) Delete(_ context.Context, req *pb.DeleteSnapshotRequest) (*pb.DeleteSnapshotResponse, error) {
	start := time.Now()
	col, release, err := s.cat.use(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	defer release()
	if err := s.cat.deleteSnapshot(col.name, req.GetSnapshotName()); err != nil {
		return nil, asStatus(err)
	}
	return &pb.DeleteSnapshotResponse{Time: seconds(start)}, nil
}
