package qdrantd

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	pb "github.com/qdrant/go-client/qdrant"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// changeAliases applies all actions in order, or none.
func (c *catalog) changeAliases(actions []*pb.AliasOperations) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	aliases := maps.Clone(c.aliases)
	for _, a := range actions {
		if err := c.applyAlias(aliases, a); err != nil {
			return err
		}
	}
	err := c.db.Update(func(tx *bolt.Tx) error { return writeAliases(tx, aliases) })
	if err != nil {
		return fmt.Errorf("storing aliases: %w", err)
	}
	c.aliases = aliases
	return nil
}

// applyAlias applies one action to aliases; c.mu must be held.
func (c *catalog) applyAlias(aliases map[string]string, op *pb.AliasOperations) error {
	switch a := op.GetAction().(type) {
	case *pb.AliasOperations_CreateAlias:
		return c.pointAlias(aliases, a.CreateAlias.GetAliasName(), a.CreateAlias.GetCollectionName())
	case *pb.AliasOperations_RenameAlias:
		old := a.RenameAlias.GetOldAliasName()
		target, ok := aliases[old]
		if !ok {
			return notFound("Alias %s does not exists!", old)
		}
		delete(aliases, old)
		return c.pointAlias(aliases, a.RenameAlias.GetNewAliasName(), target)
	case *pb.AliasOperations_DeleteAlias:
		delete(aliases, a.DeleteAlias.GetAliasName())
		return nil
	}
	return badInput("alias action is empty")
}

// pointAlias sets an alias, new or not, to a collection.
func (c *catalog) pointAlias(aliases map[string]string, alias, target string) error {
	if err := checkName("alias_name", alias); err != nil {
		return err
	}
	if _, ok := c.collections[target]; !ok {
		return noCollection(target)
	}
	if _, ok := c.collections[alias]; ok {
		return status.Errorf(codes.AlreadyExists, "Wrong input: Collection `%s` already exists!", alias)
	}
	aliases[alias] = target
	return nil
}

// writeAliases replaces the stored aliases.
func writeAliases(tx *bolt.Tx, aliases map[string]string) error {
	if err := tx.DeleteBucket(bucketAliases); err != nil {
		return err
	}
	b, err := tx.CreateBucket(bucketAliases)
	if err != nil {
		return err
	}
	var errs []error
	for alias, target := range aliases {
		errs = append(errs, b.Put([]byte(alias), []byte(target)))
	}
	return errors.Join(errs...)
}

// listAliases lists all aliases, or those of one collection, in order.
func (c *catalog) listAliases(collection string) []*pb.AliasDescription {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var list []*pb.AliasDescription
	for _, alias := range slices.Sorted(maps.Keys(c.aliases)) {
		if target := c.aliases[alias]; collection == "" || target == collection {
			list = append(list, &pb.AliasDescription{AliasName: alias, CollectionName: target})
		}
	}
	return list
}
