package qdrantd

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	pb "github.com/qdrant/go-client/qdrant"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
)

// A payload index holds an entry per value and point: the value's key, then the
// slot. Keys identify values exactly (long strings by their SHA-256), so a
// match that an index answers needs no look at the payload.
//
// Keyword, uuid (as plain strings), integer and bool indexes answer exact
// matches. Float and
// datetime indexes are accepted and listed, but hold nothing: their conditions
// are checked on the payload.

// maxKeyString is the longest string kept whole in a key.
const maxKeyString = 256

// fieldIndex is one payload index.
type fieldIndex struct {
	path    jsonPath
	info    *pb.PayloadSchemaInfo // as it was made
	kind    pb.PayloadSchemaType
	entries *bolt.Bucket // key, slot -> 1
	counts  *bolt.Bucket // key -> number of entries
}

// strings reports whether the index holds strings.
func (x fieldIndex) strings() bool {
	return x.kind == pb.PayloadSchemaType_Keyword || x.kind == pb.PayloadSchemaType_Uuid
}

// exact reports whether the index holds entries.
func (x fieldIndex) exact() bool {
	return x.strings() || x.kind == pb.PayloadSchemaType_Integer || x.kind == pb.PayloadSchemaType_Bool
}

// loadIndexes reads the collection's indexes within tx.
func loadIndexes(tx *bolt.Tx) (map[string]fieldIndex, error) {
	out := map[string]fieldIndex{}
	for k, v := range cursorPairs(tx.Bucket(bucketSchema).Cursor()) {
		info := &pb.PayloadSchemaInfo{}
		if err := proto.Unmarshal(v, info); err != nil {
			return nil, fmt.Errorf("reading index of field %s: %w", k, err)
		}
		path, err := parsePath(string(k))
		if err != nil {
			return nil, err
		}
		field := string(k)
		out[field] = fieldIndex{
			path: path, info: info, kind: info.GetDataType(),
			entries: tx.Bucket(entryBucket(field)), counts: tx.Bucket(countBucket(field)),
		}
	}
	return out, nil
}

// stringKey is the key of a string value.
func stringKey(s string) string {
	if len(s) > maxKeyString {
		sum := sha256.Sum256([]byte(s))
		return "h" + string(sum[:])
	}
	return "s" + string([]byte{byte(len(s) >> 8), byte(len(s))}) + s
}

// integerKey is the key of an integer value.
func integerKey(n int64) string {
	return "i" + string(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// boolKey is the key of a bool value.
func boolKey(b bool) string {
	if b {
		return "b1"
	}
	return "b0"
}

// valueKey is the key of a value under this index; false when it has none.
func (x fieldIndex) valueKey(v *pb.Value) (string, bool) {
	switch k := v.GetKind().(type) {
	case *pb.Value_StringValue:
		return stringKey(k.StringValue), x.strings()
	case *pb.Value_IntegerValue:
		return integerKey(k.IntegerValue), x.kind == pb.PayloadSchemaType_Integer
	case *pb.Value_BoolValue:
		return boolKey(k.BoolValue), x.kind == pb.PayloadSchemaType_Bool
	}
	return "", false
}

// keys returns the distinct keys of a point's payload under this index.
func (x fieldIndex) keys(payload []byte) map[string]bool {
	top, ok := payloadValue(payload, x.path.key())
	if !ok || !x.exact() {
		return nil
	}
	out := map[string]bool{}
	for _, e := range elements(x.path.follow(top)) {
		if k, ok := x.valueKey(e); ok {
			out[k] = true
		}
	}
	return out
}

// conditionKeys returns the keys a match condition asks for, any of which
// satisfies it; false when this index cannot answer the condition exactly.
func (x fieldIndex) conditionKeys(m *pb.Match) (keys []string, ok bool) {
	var strs []string
	var ints []int64
	switch t := m.GetMatchValue().(type) {
	case *pb.Match_Keyword:
		strs = []string{t.Keyword}
	case *pb.Match_Keywords:
		strs = t.Keywords.GetStrings()
	case *pb.Match_Integer:
		ints = []int64{t.Integer}
	case *pb.Match_Integers:
		ints = t.Integers.GetIntegers()
	case *pb.Match_Boolean:
		return []string{boolKey(t.Boolean)}, x.kind == pb.PayloadSchemaType_Bool
	default:
		return nil, false
	}
	if ints != nil {
		for _, n := range ints {
			keys = append(keys, integerKey(n))
		}
		return keys, x.kind == pb.PayloadSchemaType_Integer
	}
	for _, s := range strs {
		keys = append(keys, stringKey(s))
	}
	return keys, x.strings()
}

// schemaType maps the type a client asks an index for.
func schemaType(t pb.FieldType) (pb.PayloadSchemaType, error) {
	switch t {
	case pb.FieldType_FieldTypeKeyword:
		return pb.PayloadSchemaType_Keyword, nil
	case pb.FieldType_FieldTypeInteger:
		return pb.PayloadSchemaType_Integer, nil
	case pb.FieldType_FieldTypeFloat:
		return pb.PayloadSchemaType_Float, nil
	case pb.FieldType_FieldTypeBool:
		return pb.PayloadSchemaType_Bool, nil
	case pb.FieldType_FieldTypeDatetime:
		return pb.PayloadSchemaType_Datetime, nil
	case pb.FieldType_FieldTypeUuid:
		return pb.PayloadSchemaType_Uuid, nil
	}
	return 0, unsupported("field index type " + strings.TrimPrefix(t.String(), "FieldType"))
}
