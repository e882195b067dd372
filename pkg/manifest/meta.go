package manifest

import (
	"maps"
	"slices"

	"github.com/weir-dev/weir/pkg/vector"
)

// SameMeta compares what may change without new vectors.
func SameMeta(a, b vector.Meta) bool {
	return a.Source == b.Source && a.Title == b.Title && maps.Equal(a.Metadata, b.Metadata) && slices.Equal(a.ACL, b.ACL)
}
