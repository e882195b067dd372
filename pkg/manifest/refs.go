package manifest

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ID is a point's UUID.
type ID [16]byte

// ParseID reads a UUID in its usual form.
func ParseID(s string) (ID, error) {
	var id ID
	raw, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(raw) != len(id) {
		return id, fmt.Errorf("point id %q is no UUID", s)
	}
	return ID(raw), nil
}

// String is the usual form of a UUID.
func (id ID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

// IDs is a list of points, in JSON as base64 of 16 bytes each.
type IDs []ID

// MarshalJSON implements json.Marshaler.
func (ids IDs) MarshalJSON() ([]byte, error) {
	raw := make([]byte, 0, len(ids)*len(ID{}))
	for _, id := range ids {
		raw = append(raw, id[:]...)
	}
	return json.Marshal(raw)
}

// UnmarshalJSON implements json.Unmarshaler.
func (ids *IDs) UnmarshalJSON(data []byte) error {
	var raw []byte
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	const size = len(ID{})
	if len(raw)%size != 0 {
		return fmt.Errorf("list of ids has %d bytes, no multiple of %d", len(raw), size)
	}
	*ids = make(IDs, 0, len(raw)/size)
	for ; len(raw) > 0; raw = raw[size:] {
		*ids = append(*ids, ID(raw[:size]))
	}
	return nil
}

// Strings returns the ids in their usual form.
func (ids IDs) Strings() []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.String()
	}
	return out
}

// Refs is a list of chunks, in JSON as base64: per chunk its id, then as varints
// the step of its start from the chunk before's, its length, overlap and page.
type Refs []Ref

// MarshalJSON implements json.Marshaler.
func (refs Refs) MarshalJSON() ([]byte, error) {
	raw := make([]byte, 0, 24*len(refs))
	start := 0
	for _, r := range refs {
		raw = append(raw, r.ID[:]...)
		raw = binary.AppendVarint(raw, int64(r.Start-start))
		for _, n := range []int{r.End - r.Start, r.Overlap, r.Page} {
			raw = binary.AppendUvarint(raw, uint64(n)) //nolint:gosec // lengths
		}
		start = r.Start
	}
	return json.Marshal(raw)
}

var errRefs = errors.New("list of chunks is cut off")

// UnmarshalJSON implements json.Unmarshaler.
func (refs *Refs) UnmarshalJSON(data []byte) error {
	var raw []byte
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*refs = make(Refs, 0, len(raw)/20)
	for start := 0; len(raw) > 0; {
		var r Ref
		if len(raw) < len(r.ID) {
			return errRefs
		}
		raw = raw[copy(r.ID[:], raw):]
		step, n := binary.Varint(raw)
		if n <= 0 {
			return errRefs
		}
		raw = raw[n:]
		r.Start = start + int(step)
		var length int
		for _, field := range []*int{&length, &r.Overlap, &r.Page} {
			v, n := binary.Uvarint(raw)
			if n <= 0 {
				return errRefs
			}
			*field, raw = int(v), raw[n:] //nolint:gosec // lengths
		}
		r.End, start = r.Start+length, r.Start
		*refs = append(*refs, r)
	}
	return nil
}

// Set returns the ids of the chunks.
func (refs Refs) Set() map[ID]bool {
	set := make(map[ID]bool, len(refs))
	for _, r := range refs {
		set[r.ID] = true
	}
	return set
}

// IDs lists the ids of the chunks.
func (refs Refs) IDs() IDs {
	ids := make(IDs, len(refs))
	for i, r := range refs {
		ids[i] = r.ID
	}
	return ids
}
