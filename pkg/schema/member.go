package schema

import (
	"bytes"
	"encoding/json"
	"slices"
)

// member is one of an object's. Its order is kept, which a map does not.
type member struct {
	name  string
	value json.RawMessage
}

// membersOf reads the members of an object in their order, nil if raw is none.
func membersOf(raw json.RawMessage) []member {
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	out := []member{}
	for d.More() {
		name, err := d.Token()
		text, ok := name.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return nil
		}
		out = append(out, member{text, value})
	}
	return out
}

// itemsOf reads the items of an array, nil if raw is none.
func itemsOf(raw json.RawMessage) []json.RawMessage {
	var out []json.RawMessage
	if json.Unmarshal(raw, &out) != nil {
		return nil
	}
	return out
}

// get is the value of a member, nil if there is none.
func get(in []member, name string) json.RawMessage {
	if i := slices.IndexFunc(in, func(m member) bool { return m.name == name }); i >= 0 {
		return in[i].value
	}
	return nil
}

// objectOf writes an object.
func objectOf(in []member) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range in {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encoded(m.name))
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// encoded is a name, or a list of names or schemas, in JSON.
func encoded(v any) json.RawMessage {
	out, _ := json.Marshal(v) // both always can be
	return out
}
