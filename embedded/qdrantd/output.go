package qdrantd

import (
	"maps"
	"slices"
	"strconv"

	pb "github.com/qdrant/go-client/qdrant"
)

// selection is what of each point a reply holds.
type selection struct {
	payload  bool
	keep     func(key string) bool // nil: all keys
	vectors  []vectorSpec
	unnamed  bool // the collection has only the unnamed vector
	withVecs bool
}

// newSelection checks the selectors. An absent payload selector means payload.
func (c *collection) newSelection(p *pb.WithPayloadSelector, v *pb.WithVectorsSelector, payload bool) (selection, error) {
	s := selection{payload: payload}
	switch t := p.GetSelectorOptions().(type) {
	case *pb.WithPayloadSelector_Enable:
		s.payload = t.Enable
	case *pb.WithPayloadSelector_Include:
		s.payload = true
		s.keep = func(key string) bool { return slices.Contains(t.Include.GetFields(), key) }
	case *pb.WithPayloadSelector_Exclude:
		s.payload = true
		s.keep = func(key string) bool { return !slices.Contains(t.Exclude.GetFields(), key) }
	}
	for _, key := range slices.Concat(p.GetInclude().GetFields(), p.GetExclude().GetFields()) {
		if err := checkTopLevel("with_payload", key); err != nil {
			return s, err
		}
	}
	return s, c.selectVectors(&s, v)
}

// selectVectors adds the wanted vectors to s.
func (c *collection) selectVectors(s *selection, v *pb.WithVectorsSelector) error {
	_, hasUnnamed := c.vectors[""]
	s.unnamed = hasUnnamed && len(c.vectors) == 1
	switch t := v.GetSelectorOptions().(type) {
	case *pb.WithVectorsSelector_Enable:
		if s.withVecs = t.Enable; t.Enable {
			s.vectors = slices.Collect(maps.Values(c.vectors))
		}
	case *pb.WithVectorsSelector_Include:
		s.withVecs = true
		for _, name := range t.Include.GetNames() {
			spec, err := c.spec(name)
			if err != nil {
				return err
			}
			s.vectors = append(s.vectors, spec)
		}
	}
	return nil
}

// checkTopLevel refuses paths where only whole top-level keys are supported.
func checkTopLevel(field, key string) error {
	path, err := parsePath(key)
	if err != nil {
		return err
	}
	if len(path) > 1 || path.key() != key {
		return unsupported("a path (" + key + ") in " + field)
	}
	return nil
}

// payloadOf decodes the selected part of a point's payload.
func (s selection) payloadOf(rec []byte) (map[string]*pb.Value, error) {
	if !s.payload {
		return nil, nil
	}
	_, raw := splitRecord(rec)
	fields, err := decodePayload(raw)
	if err == nil && s.keep != nil {
		maps.DeleteFunc(fields, func(k string, _ *pb.Value) bool { return !s.keep(k) })
	}
	return fields, err
}

// vectorsOf reads the selected vectors of a point.
func (s selection) vectorsOf(r *reader, slot uint64) *pb.VectorsOutput {
	if !s.withVecs {
		return nil
	}
	named := map[string]*pb.VectorOutput{}
	for _, spec := range s.vectors {
		if raw := r.vector(spec, slot); raw != nil {
			named[spec.name] = spec.output(raw)
		}
	}
	if s.unnamed && len(named) == 1 {
		return &pb.VectorsOutput{VectorsOptions: &pb.VectorsOutput_Vector{Vector: named[""]}}
	}
	return &pb.VectorsOutput{VectorsOptions: &pb.VectorsOutput_Vectors{Vectors: &pb.NamedVectorsOutput{Vectors: named}}}
}

// scored makes reply points of hits.
func (r *reader) scored(hits []hit, s selection) ([]*pb.ScoredPoint, error) {
	out := make([]*pb.ScoredPoint, 0, len(hits))
	for _, h := range hits {
		payload, err := s.payloadOf(r.record(h.slot))
		if err != nil {
			return nil, err
		}
		out = append(out, &pb.ScoredPoint{Id: pointID(h.id), Score: h.score, Payload: payload, Vectors: s.vectorsOf(r, h.slot), OrderValue: h.value})
	}
	return out, nil
}

// retrieved makes reply points without a score.
func (r *reader) retrieved(hits []hit, s selection) ([]*pb.RetrievedPoint, error) {
	out := make([]*pb.RetrievedPoint, 0, len(hits))
	for _, h := range hits {
		payload, err := s.payloadOf(r.record(h.slot))
		if err != nil {
			return nil, err
		}
		out = append(out, &pb.RetrievedPoint{Id: pointID(h.id), Payload: payload, Vectors: s.vectorsOf(r, h.slot), OrderValue: h.value})
	}
	return out, nil
}

// idText is an id as messages show it.
func idText(id *pb.PointId) string {
	if u, ok := id.GetPointIdOptions().(*pb.PointId_Uuid); ok {
		return u.Uuid
	}
	return strconv.FormatUint(id.GetNum(), 10)
}
