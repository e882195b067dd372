package qdrantd

import (
	"encoding/binary"

	"github.com/google/uuid"
	pb "github.com/qdrant/go-client/qdrant"
)

// Id keys are a kind byte and the id, big-endian, so that byte order is Qdrant's
// order: numbers first, then UUIDs.
const (
	kindNum  = 0
	kindUUID = 1
	numLen   = 1 + 8
	uuidLen  = 1 + 16
)

// idKey encodes a point id.
func idKey(id *pb.PointId) ([]byte, error) {
	switch v := id.GetPointIdOptions().(type) {
	case *pb.PointId_Num:
		return binary.BigEndian.AppendUint64([]byte{kindNum}, v.Num), nil
	case *pb.PointId_Uuid:
		u, err := uuid.Parse(v.Uuid)
		if err != nil {
			return nil, badInput("Unable to parse UUID: %s", v.Uuid)
		}
		return append([]byte{kindUUID}, u[:]...), nil
	}
	return nil, badInput("Malformed point id: neither num nor uuid is set")
}

// idKeys encodes a list of ids.
func idKeys(ids []*pb.PointId) ([][]byte, error) {
	keys := make([][]byte, 0, len(ids))
	for _, id := range ids {
		k, err := idKey(id)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// pointID decodes an id key.
func pointID(key []byte) *pb.PointId {
	if key[0] == kindNum {
		return pb.NewIDNum(binary.BigEndian.Uint64(key[1:numLen]))
	}
	var u uuid.UUID
	copy(u[:], key[1:uuidLen])
	return pb.NewIDUUID(u.String())
}

// splitRecord cuts a stored point into its id key and its payload.
func splitRecord(rec []byte) (key, payload []byte) {
	n := uuidLen
	if rec[0] == kindNum {
		n = numLen
	}
	return rec[:n], rec[n:]
}

// slotKey encodes a slot, the number under which a point's parts are stored.
func slotKey(slot uint64) []byte { return binary.BigEndian.AppendUint64(nil, slot) }

// slotOf decodes a slot key.
func slotOf(key []byte) uint64 { return binary.BigEndian.Uint64(key) }
