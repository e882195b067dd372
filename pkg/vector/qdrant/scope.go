package qdrant

import (
	"maps"
	"slices"
	"strings"

	pb "github.com/qdrant/go-client/qdrant"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// everybody in a chunk's ACL lets all of its tenant read it.
const everybody = "*"

// scopeFilter builds the filter of a request within one scope.
func scopeFilter(scope vector.Scope, more ...*pb.Condition) (*pb.Filter, error) {
	switch {
	case scope.Tenant == "":
		return nil, event.Invalid("scope.tenant", "set the tenant", "is empty")
	case scope.Collection == "":
		return nil, event.Invalid("scope.collection", "set the collection", "is empty")
	}
	return partFilter(scope, more...), nil
}

// partFilter is scopeFilter for maintenance, where empty fields don't narrow.
func partFilter(scope vector.Scope, more ...*pb.Condition) *pb.Filter {
	var must []*pb.Condition
	if scope.Tenant != "" {
		must = append(must, pb.NewMatch(keyTenant, scope.Tenant))
	}
	if scope.Collection != "" {
		must = append(must, pb.NewMatch(keyCollection, scope.Collection))
	}
	return &pb.Filter{Must: append(must, more...)}
}

// documentFilter selects a document's chunks, and of them those that meet more.
func documentFilter(doc vector.Document, more ...*pb.Condition) (*pb.Filter, error) {
	if doc.ID == "" {
		return nil, event.Invalid("document.id", "set the document id", "is empty")
	}
	return scopeFilter(doc.Scope, append([]*pb.Condition{pb.NewMatch(keyDocument, doc.ID)}, more...)...)
}

// readFilter selects what a reader may find.
func readFilter(scope vector.Scope, f vector.Filter) (*pb.Filter, error) {
	more := []*pb.Condition{pb.NewMatchKeywords(keyACL, append([]string{everybody}, f.Readers...)...)}
	for _, key := range slices.Sorted(maps.Keys(f.Metadata)) {
		path, err := metadataPath(key)
		if err != nil {
			return nil, err
		}
		more = append(more, pb.NewMatch(path, f.Metadata[key]))
	}
	if len(f.Documents) > 0 {
		more = append(more, pb.NewMatchKeywords(keyDocument, f.Documents...))
	}
	return scopeFilter(scope, more...)
}

// metadataPath is the JSON path of a metadata key. Qdrant's syntax takes any key
// in quotes but has no escapes.
func metadataPath(key string) (string, error) {
	if strings.ContainsAny(key, "\"\\") {
		return "", event.Invalid("filter.metadata", "filter by another key",
			`key %q holds a quote or a backslash, which the store can keep but not filter by`, key)
	}
	return keyMetadata + `."` + key + `"`, nil
}
