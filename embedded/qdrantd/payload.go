package qdrantd

import (
	"fmt"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// A stored payload is a marshalled pb.Struct.

// encodePayload encodes a payload for storage; nil fields become nothing.
func encodePayload(fields map[string]*pb.Value) ([]byte, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(&pb.Struct{Fields: fields})
	if err != nil {
		return nil, badInput("payload: %v", err)
	}
	return raw, nil
}

// decodePayload decodes a whole payload; the map is never nil.
func decodePayload(raw []byte) (map[string]*pb.Value, error) {
	var s pb.Struct
	if err := proto.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("decoding payload: %w", err)
	}
	if s.Fields == nil {
		s.Fields = map[string]*pb.Value{}
	}
	return s.Fields, nil
}

// payloadValue decodes the value of one top-level key and skips all others: a
// filter asks for short fields of points that also hold long texts.
func payloadValue(raw []byte, key string) (*pb.Value, bool) {
	for len(raw) > 0 {
		_, _, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return nil, false
		}
		entry, m := protowire.ConsumeBytes(raw[n:])
		if m < 0 {
			return nil, false
		}
		raw = raw[n+m:]
		if value, ok := entryValue(entry, key); ok {
			var v pb.Value
			return &v, proto.Unmarshal(value, &v) == nil
		}
	}
	return nil, false
}

// entryValue returns the value bytes of a map entry that has the given key.
func entryValue(entry []byte, key string) (value []byte, ok bool) {
	found := key == "" // an empty key may be left out of the entry
	for len(entry) > 0 {
		num, _, n := protowire.ConsumeTag(entry)
		if n < 0 {
			return nil, false
		}
		b, m := protowire.ConsumeBytes(entry[n:])
		if m < 0 {
			return nil, false
		}
		entry = entry[n+m:]
		switch {
		case num == 1 && string(b) != key:
			return nil, false
		case num == 1:
			found = true
		case num == 2:
			value = b
		}
	}
	return value, found
}

// view is what a filter sees of a point: its id and its payload's values by
// top-level key, decoded when asked for.
type view struct {
	id     []byte
	lookup func(key string) (*pb.Value, bool)
}

// recordView is the view of a stored point.
func recordView(rec []byte) view {
	id, payload := splitRecord(rec)
	return view{id: id, lookup: func(key string) (*pb.Value, bool) { return payloadValue(payload, key) }}
}

// structView is the view of one array element, for nested conditions.
func structView(id []byte, v *pb.Value) view {
	fields := v.GetStructValue().GetFields()
	return view{id: id, lookup: func(key string) (*pb.Value, bool) { f, ok := fields[key]; return f, ok }}
}

// values returns what a path leads to in the view.
func (v view) values(p jsonPath) []*pb.Value {
	top, ok := v.lookup(p.key())
	if !ok {
		return nil
	}
	return p.follow(top)
}
