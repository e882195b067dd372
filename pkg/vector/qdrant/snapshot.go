package qdrant

import (
	"context"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
)

// Snapshot is a copy of a collection that Qdrant keeps beside it.
type Snapshot struct {
	Name    string    `json:"name"`
	Size    int64     `json:"size"` // bytes
	Created time.Time `json:"created,omitzero"`
}

func snapshot(d *pb.SnapshotDescription) Snapshot {
	s := Snapshot{Name: d.GetName(), Size: d.GetSize()}
	if d.GetCreationTime() != nil {
		s.Created = d.GetCreationTime().AsTime()
	}
	return s
}

// CreateSnapshot makes a snapshot of the collection that an alias leads to.
func (s *Store) CreateSnapshot(ctx context.Context, name string) (Snapshot, error) {
	var made *pb.SnapshotDescription
	err := s.call(ctx, "making a snapshot of "+name, func(ctx context.Context) (err error) {
		made, err = s.client.CreateSnapshot(ctx, name)
		return err
	})
	return snapshot(made), err
}

// Snapshots lists the snapshots of the collection that an alias leads to.
func (s *Store) Snapshots(ctx context.Context, name string) ([]Snapshot, error) {
	var list []*pb.SnapshotDescription
	err := s.call(ctx, "listing snapshots of "+name, func(ctx context.Context) (err error) {
		list, err = s.client.ListSnapshots(ctx, name)
		return err
	})
	var out []Snapshot
	for _, d := range list {
		out = append(out, snapshot(d))
	}
	return out, err
}

// DeleteSnapshot removes a snapshot of the collection that an alias leads to.
func (s *Store) DeleteSnapshot(ctx context.Context, name, snapshot string) error {
	return s.call(ctx, "removing snapshot "+snapshot, func(ctx context.Context) error {
		return s.client.DeleteSnapshot(ctx, name, snapshot)
	})
}
