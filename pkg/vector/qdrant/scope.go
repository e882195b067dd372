package qdrant

import (
	pb "github.com/qdrant/go-client/qdrant"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// scopeFilter builds the filter every request carries; it is the only way this
// package makes a filter, so no request is without tenant and collection.
func scopeFilter(scope vector.Scope, more ...*pb.Condition) (*pb.Filter, error) {
	switch {
	case scope.Tenant == "":
		return nil, event.Invalid("scope.tenant", "set the tenant", "is empty")
	case scope.Collection == "":
		return nil, event.Invalid("scope.collection", "set the collection", "is empty")
	}
	must := []*pb.Condition{pb.NewMatch(keyTenant, scope.Tenant), pb.NewMatch(keyCollection, scope.Collection)}
	return &pb.Filter{Must: append(must, more...)}, nil
}
