package sparse

import (
	"maps"
	"slices"
	"strings"
)

type Encoder struct{}

func New() *Encoder { return &Encoder{} }
func enc(text string) Vector {
	m := map[uint32]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127) }) {
		h := uint32(2166136261)
		for _, c := range []byte(w) {
			h = (h ^ uint32(c)) * 16777619
		}
		m[h] = true
	}
	var v Vector
	v.Indices = slices.Sorted(maps.Keys(m))
	for range v.Indices {
		v.Values = append(v.Values, 1)
	}
	return v
}
func (e *Encoder) Passage(text string) (a, b Vector) { return enc(text), enc(text) }
func (e *Encoder) Query(text string) (a, b Vector)   { return enc(text), enc(text) }
