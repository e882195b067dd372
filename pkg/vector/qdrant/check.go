package qdrant

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/vector"
)

// maxVersion is the first version that a float64 cannot tell from the next.
const maxVersion = 1 << 53

// checkPoint refuses what cannot be stored, before anything is.
func checkPoint(i int, p vector.Point, idx vector.Index) error {
	field := fmt.Sprintf("points[%d]", i)
	switch {
	case len(p.Dense) != idx.Dimension:
		return dimensionError(field+".dense", len(p.Dense), idx.Dimension)
	case p.Chunk.Document == "":
		return event.Invalid(field+".chunk.document", "set the document id", "is empty")
	case p.Chunk.Version < 0 || p.Chunk.Version >= maxVersion:
		return event.Invalid(field+".chunk.version", "use a version from 0 to 2^53-1", "is %d", p.Chunk.Version)
	}
	if err := checkID(field+".id", p.ID); err != nil {
		return err
	}
	for list, v := range map[string]sparse.Vector{".bm25": p.BM25, ".grams": p.Grams} {
		if err := checkSparse(field+list, v); err != nil {
			return err
		}
	}
	if err := checkTexts(field+".chunk", append([]string{p.Chunk.Document, p.Chunk.Hash, p.Chunk.Prefix, p.Chunk.Text}, p.Chunk.Section...)); err != nil {
		return err
	}
	return checkMeta(field+".chunk", p.Chunk.Meta)
}

// checkMeta refuses meta that cannot be stored.
func checkMeta(field string, m vector.Meta) error {
	if slices.Contains(m.ACL, everybody) {
		return event.Invalid(field+".acl", "leave the ACL empty to let everybody in the tenant read", `holds the reserved name "*"`)
	}
	texts := slices.Concat([]string{m.Source, m.Title}, m.ACL)
	for k, v := range m.Metadata {
		texts = append(texts, k, v)
	}
	return checkTexts(field, texts)
}

func checkTexts(field string, texts []string) error {
	if slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) }) {
		return event.Invalid(field, "convert the text to UTF-8, and cut it between characters", "holds text that is not UTF-8")
	}
	return nil
}

// checkSparse refuses a vector that is not as sparse.Vector promises.
func checkSparse(field string, v sparse.Vector) error {
	if len(v.Indices) != len(v.Values) {
		return event.Invalid(field, "give each index one value", "has %d indices and %d values", len(v.Indices), len(v.Values))
	}
	for i, x := range v.Values {
		if i > 0 && v.Indices[i] <= v.Indices[i-1] {
			return event.Invalid(field, "sort the indices and merge equal ones", "has index %d after %d", v.Indices[i], v.Indices[i-1])
		}
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			return event.Invalid(field, "use finite weights", "has value %v at index %d", x, v.Indices[i])
		}
	}
	return nil
}

// checkID refuses an id that would not come back as it is: only the usual form
// of a UUID does.
func checkID(field, id string) error {
	ok := len(id) == 36
	for i := 0; ok && i < len(id); i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			ok = id[i] == '-'
		} else {
			ok = strings.IndexByte("0123456789abcdef", id[i]) >= 0
		}
	}
	if !ok {
		return event.Invalid(field, "use a UUID in lower case, like 01234567-89ab-cdef-0123-456789abcdef", "is %q", id)
	}
	return nil
}
