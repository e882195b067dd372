package schema

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxNulls bounds the places looked at for nulls: alternatives can complain of the
// same ones many times over.
const maxNulls = 10_000

// withoutNulls leaves out the properties that are null where err complains of it,
// and returns the value if that was all that was wrong. With more than maxNulls
// places it leaves all as it is.
func (s *Schema) withoutNulls(raw string, err error) (json.RawMessage, bool) {
	paths := places(err, nil)
	if len(paths) > maxNulls {
		return nil, false
	}
	out, dropped := dropNulls(json.RawMessage(raw), paths)
	if !dropped {
		return nil, false
	}
	r, v := read(string(out))
	return out, v == nil && s.root.Validate(r.value) == nil
}

// places appends the paths at which the value breaks the schema, in all alternatives,
// but no more than one above maxNulls.
func places(err error, out [][]string) [][]string {
	var whole *jsonschema.ValidationError
	if len(out) > maxNulls || !errors.As(err, &whole) {
		return out
	}
	if len(whole.Causes) == 0 {
		return append(out, whole.InstanceLocation)
	}
	for _, cause := range whole.Causes {
		out = places(cause, out)
	}
	return out
}

// dropNulls leaves out the properties at the paths that are null, and says whether
// there were any. All else keeps its order.
func dropNulls(raw json.RawMessage, paths [][]string) (out json.RawMessage, dropped bool) {
	under := map[string][][]string{} // what is left of the paths, by their first part
	for _, path := range paths {
		if len(path) > 0 {
			under[path[0]] = append(under[path[0]], path[1:])
		}
	}
	if len(under) == 0 {
		return raw, false
	}
	within := func(name string, value json.RawMessage) json.RawMessage {
		value, some := dropNulls(value, under[name])
		dropped = dropped || some
		return value
	}
	isHere := func(path []string) bool { return len(path) == 0 }
	if members := membersOf(raw); members != nil {
		kept := members[:0]
		for _, m := range members {
			if string(m.value) == "null" && slices.ContainsFunc(under[m.name], isHere) {
				dropped = true
				continue
			}
			kept = append(kept, member{m.name, within(m.name, m.value)})
		}
		return objectOf(kept), dropped
	}
	items := itemsOf(raw)
	for i, item := range items {
		items[i] = within(strconv.Itoa(i), item)
	}
	return encoded(items), dropped
}
