package qdrant

import (
	"time"

	pb "github.com/qdrant/go-client/qdrant"

	"github.com/weir-dev/weir/pkg/vector"
)

// The payload keys; see the package comment.
const (
	keyTenant     = "tenant"
	keyCollection = "collection"
	keyDocument   = "document"
	keyVersion    = "version"
	keyPosition   = "position"
	keyText       = "text"
	keySource     = "source"
	keyTitle      = "title"
	keySection    = "section"
	keyStart      = "start"
	keyEnd        = "end"
	keyCreated    = "created"
	keyMetadata   = "metadata"
)

// encodeChunk makes the payload of a chunk.
func encodeChunk(scope vector.Scope, c vector.Chunk) map[string]*pb.Value {
	p := map[string]*pb.Value{
		keyTenant:     pb.NewValueString(scope.Tenant),
		keyCollection: pb.NewValueString(scope.Collection),
		keyDocument:   pb.NewValueString(c.Document),
		keyVersion:    pb.NewValueInt(c.Version),
		keyPosition:   pb.NewValueInt(int64(c.Position)),
		keyText:       pb.NewValueString(c.Text),
		keyStart:      pb.NewValueInt(int64(c.Start)),
		keyEnd:        pb.NewValueInt(int64(c.End)),
	}
	if c.Source != "" {
		p[keySource] = pb.NewValueString(c.Source)
	}
	if c.Title != "" {
		p[keyTitle] = pb.NewValueString(c.Title)
	}
	if !c.Created.IsZero() {
		p[keyCreated] = pb.NewValueString(c.Created.UTC().Format(time.RFC3339Nano))
	}
	if len(c.Section) > 0 {
		p[keySection] = encodeSection(c.Section)
	}
	if len(c.Metadata) > 0 {
		p[keyMetadata] = encodeMetadata(c.Metadata)
	}
	return p
}

func encodeSection(section []string) *pb.Value {
	list := &pb.ListValue{}
	for _, s := range section {
		list.Values = append(list.Values, pb.NewValueString(s))
	}
	return pb.NewValueList(list)
}

func encodeMetadata(metadata map[string]string) *pb.Value {
	s := &pb.Struct{Fields: make(map[string]*pb.Value, len(metadata))}
	for k, v := range metadata {
		s.Fields[k] = pb.NewValueString(v)
	}
	return pb.NewValueStruct(s)
}

// decodeChunk reads a payload. A field another program wrote with another type
// reads as empty.
func decodeChunk(p map[string]*pb.Value) vector.Chunk {
	c := vector.Chunk{
		Document: p[keyDocument].GetStringValue(),
		Version:  p[keyVersion].GetIntegerValue(),
		Position: int(p[keyPosition].GetIntegerValue()),
		Text:     p[keyText].GetStringValue(),
		Source:   p[keySource].GetStringValue(),
		Title:    p[keyTitle].GetStringValue(),
		Start:    int(p[keyStart].GetIntegerValue()),
		End:      int(p[keyEnd].GetIntegerValue()),
	}
	if t, err := time.Parse(time.RFC3339Nano, p[keyCreated].GetStringValue()); err == nil {
		c.Created = t.UTC()
	}
	for _, v := range p[keySection].GetListValue().GetValues() {
		c.Section = append(c.Section, v.GetStringValue())
	}
	if fields := p[keyMetadata].GetStructValue().GetFields(); len(fields) > 0 {
		c.Metadata = make(map[string]string, len(fields))
		for k, v := range fields {
			c.Metadata[k] = v.GetStringValue()
		}
	}
	return c
}
