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
	var d *pb.SnapshotDescription
	err := s.cat.with(req.GetCollectionName(), func(col *collection) (err error) {
		d, err = s.cat.createSnapshot(col, start)
		return err
	})
	return &pb.CreateSnapshotResponse{SnapshotDescription: d, Time: seconds(start)}, err
}

// List lists a collection's snapshots.
func (s *snapshotsService) List(_ context.Context, req *pb.ListSnapshotsRequest) (*pb.ListSnapshotsResponse, error) {
	start := time.Now()
	var list []*pb.SnapshotDescription
	err := s.cat.with(req.GetCollectionName(), func(col *collection) (err error) {
		list, err = s.cat.listSnapshots(col.name)
		return err
	})
	return &pb.ListSnapshotsResponse{SnapshotDescriptions: list, Time: seconds(start)}, err
}

// Delete removes a snapshot.
func (s *snapshotsService) Delete(_ context.Context, req *pb.DeleteSnapshotRequest) (*pb.DeleteSnapshotResponse, error) {
	start := time.Now()
	err := s.cat.with(req.GetCollectionName(), func(col *collection) error {
		return s.cat.deleteSnapshot(col.name, req.GetSnapshotName())
	})
	return &pb.DeleteSnapshotResponse{Time: seconds(start)}, err
}
