package qdrant

import (
	"context"

	pb "github.com/qdrant/go-client/qdrant"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// Current implements vector.Store. What the alias leads to is read from the
// collection's metadata.
func (s *Store) Current(ctx context.Context, name string) (idx vector.Index, ok bool, err error) {
	target, err := s.target(ctx, name)
	if err != nil || target == "" {
		return idx, false, err
	}
	info, err := s.describe(ctx, target)
	if err != nil || info == nil { // dropped by hand meanwhile, and the alias with it
		return idx, false, err
	}
	if idx, ok = indexOf(info); !ok {
		return idx, false, notOurs(target)
	}
	idx.Name = name // an alias put by hand has a name of its own
	return idx, true, nil
}

// Switch implements vector.Store.
func (s *Store) Switch(ctx context.Context, idx vector.Index) error {
	if err := checkIndex(idx); err != nil {
		return err
	}
	return s.alias(ctx, idx)
}

// Drop implements vector.Store. An alias that is put on the collection between
// the check and the removal goes with it.
func (s *Store) Drop(ctx context.Context, idx vector.Index) error {
	if err := checkIndex(idx); err != nil {
		return err
	}
	name := physicalName(idx)
	target, err := s.target(ctx, idx.Name)
	if err != nil {
		return err
	}
	if target == name {
		return event.Invalid("index.model", "switch the index to another model first",
			"is %q, which index %q is using", idx.Model, idx.Name)
	}
	return s.call(ctx, "dropping collection "+name, func(ctx context.Context) error {
		err := s.client.DeleteCollection(ctx, name)
		if err == nil {
			return nil
		}
		if exists, existsErr := s.client.CollectionExists(ctx, name); existsErr == nil && !exists {
			return nil
		}
		return err
	})
}

// target is the collection an alias leads to, "" when there is no such alias.
func (s *Store) target(ctx context.Context, alias string) (string, error) {
	var aliases []*pb.AliasDescription
	err := s.call(ctx, "listing aliases", func(ctx context.Context) (err error) {
		aliases, err = s.client.ListAliases(ctx)
		return err
	})
	for _, a := range aliases {
		if a.GetAliasName() == alias {
			return a.GetCollectionName(), err
		}
	}
	return "", err
}

// alias points the index's alias to its collection, wherever it led before.
func (s *Store) alias(ctx context.Context, idx vector.Index) error {
	return s.call(ctx, "pointing alias "+idx.Name, func(ctx context.Context) error {
		return s.client.CreateAlias(ctx, idx.Name, physicalName(idx))
	})
}
