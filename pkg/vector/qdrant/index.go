package qdrant

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strings"

	pb "github.com/qdrant/go-client/qdrant"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// metaKey is the key of the collection's metadata that says whose it is.
const metaKey = "weir"

// checkIndex refuses an incomplete index.
func checkIndex(idx vector.Index) error {
	switch {
	case idx.Name == "":
		return event.Invalid("index.name", "configure the index's name", "is empty")
	case idx.Model == "":
		return event.Invalid("index.model", "configure the embedding model", "is empty")
	case idx.Dimension < 1 || idx.Dimension > 65536:
		return event.Invalid("index.dimension", "configure the embedding model's dimension", "is %d, want 1 to 65536", idx.Dimension)
	}
	return nil
}

// physicalName is the collection behind an index: name, model and dimension. A
// name that had to be changed to be legal ends in a hash of what it was, so that
// two models never share a collection.
func physicalName(idx vector.Index) string {
	raw := fmt.Sprintf("%s_%s_%d", idx.Name, idx.Model, idx.Dimension)
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, raw)
	if clean == raw && len(clean) <= 255 {
		return clean
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(raw)) // never fails
	return clean[:min(len(clean), 230)] + "_" + hex.EncodeToString(h.Sum(nil))
}

// indexMetadata is what a collection says about itself. A name like a_b_3 does
// not tell where the model begins; this does.
func indexMetadata(idx vector.Index) map[string]*pb.Value {
	return map[string]*pb.Value{metaKey: pb.NewValueStruct(&pb.Struct{Fields: map[string]*pb.Value{
		"index":     pb.NewValueString(idx.Name),
		"model":     pb.NewValueString(idx.Model),
		"dimension": pb.NewValueInt(int64(idx.Dimension)),
	}})}
}

// indexOf reads a collection's metadata; false when it is none of ours.
func indexOf(info *pb.CollectionInfo) (vector.Index, bool) {
	f := info.GetConfig().GetMetadata()[metaKey].GetStructValue().GetFields()
	idx := vector.Index{
		Name: f["index"].GetStringValue(), Model: f["model"].GetStringValue(), Dimension: int(f["dimension"].GetIntegerValue()),
	}
	return idx, checkIndex(idx) == nil
}

// notOurs is the answer to a collection that has not been made by Ensure.
func notOurs(collection string) error {
	return event.Invalid("index.name", "use another index name, or delete the collection and ingest anew",
		"collection %q does not say which model its vectors are of; Weir has not made it, or an old version has", collection)
}
