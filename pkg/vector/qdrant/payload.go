package qdrant

import (
	"slices"
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
	keyHash       = "hash"
	keyPrefix     = "prefix"
	keyText       = "text"
	keyTokens     = "tokens"
	keySection    = "section"
	keyCreated    = "created"
	keySource     = "source"
	keyTitle      = "title"
	keyMetadata   = "metadata"
	keyACL        = "acl"
)

// encodeChunk makes the payload of a chunk.
func encodeChunk(scope vector.Scope, c vector.Chunk) map[string]*pb.Value {
	p := encodeMeta(c.Meta)
	for key, text := range map[string]string{
		keyTenant: scope.Tenant, keyCollection: scope.Collection, keyDocument: c.Document, keyHash: c.Hash, keyPrefix: c.Prefix, keyText: c.Text,
	} {
		p[key] = pb.NewValueString(text)
	}
	p[keyVersion] = pb.NewValueInt(c.Version)
	p[keyTokens] = pb.NewValueInt(int64(c.Tokens))
	if !c.Created.IsZero() {
		p[keyCreated] = pb.NewValueString(c.Created.UTC().Format(time.RFC3339Nano))
	}
	if len(c.Section) > 0 {
		p[keySection] = encodeList(c.Section)
	}
	return p
}

// encodeMeta makes the part of the payload that SetMeta writes too. It always
// has all its keys: setting a payload leaves keys alone that are not given.
func encodeMeta(m vector.Meta) map[string]*pb.Value {
	fields := make(map[string]*pb.Value, len(m.Metadata))
	for k, v := range m.Metadata {
		fields[k] = pb.NewValueString(v)
	}
	acl := m.ACL
	if len(acl) == 0 {
		acl = []string{everybody}
	}
	return map[string]*pb.Value{
		keySource:   pb.NewValueString(m.Source),
		keyTitle:    pb.NewValueString(m.Title),
		keyMetadata: pb.NewValueStruct(&pb.Struct{Fields: fields}),
		keyACL:      encodeList(acl),
	}
}

func encodeList(texts []string) *pb.Value {
	list := &pb.ListValue{}
	for _, s := range texts {
		list.Values = append(list.Values, pb.NewValueString(s))
	}
	return pb.NewValueList(list)
}

// decodeChunk reads a payload. A field another program wrote with another type
// reads as empty.
func decodeChunk(p map[string]*pb.Value) vector.Chunk {
	c := vector.Chunk{
		Document: p[keyDocument].GetStringValue(),
		Version:  p[keyVersion].GetIntegerValue(),
		Hash:     p[keyHash].GetStringValue(),
		Prefix:   p[keyPrefix].GetStringValue(),
		Text:     p[keyText].GetStringValue(),
		Tokens:   int(p[keyTokens].GetIntegerValue()),
		Section:  decodeList(p[keySection]),
		Meta: vector.Meta{
			Source: p[keySource].GetStringValue(),
			Title:  p[keyTitle].GetStringValue(),
			ACL:    decodeList(p[keyACL]),
		},
	}
	if slices.Equal(c.ACL, []string{everybody}) {
		c.ACL = nil
	}
	if t, err := time.Parse(time.RFC3339Nano, p[keyCreated].GetStringValue()); err == nil {
		c.Created = t.UTC()
	}
	if fields := p[keyMetadata].GetStructValue().GetFields(); len(fields) > 0 {
		c.Metadata = make(map[string]string, len(fields))
		for k, v := range fields {
			c.Metadata[k] = v.GetStringValue()
		}
	}
	return c
}

func decodeList(v *pb.Value) []string {
	var out []string
	for _, e := range v.GetListValue().GetValues() {
		out = append(out, e.GetStringValue())
	}
	return out
}

// decodePoint makes a stored point of its id and payload.
func decodePoint(p *pb.RetrievedPoint) vector.Stored {
	payload := p.GetPayload()
	return vector.Stored{
		ID: idText(p.GetId()), Tenant: payload[keyTenant].GetStringValue(), Collection: payload[keyCollection].GetStringValue(),
		Chunk: decodeChunk(payload),
	}
}
