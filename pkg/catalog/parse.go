package catalog

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"time"
)

// Parse reads and checks a catalog file. Its error joins a *FieldError for each
// mistake found, in the order of the file, each with line, column, path and what
// to write instead. Each model needs a price in force at now.
//
// What the file leaves out is filled in: the dialects, timeouts, bounds,
// overheads, the limits of a group that are written at another of its models,
// and the revision, which is then made from the content.
func Parse(data []byte, now time.Time) (*Catalog, error) {
	d := newDecoder()
	c := &Catalog{}
	root, ok := d.parseYAML(data)
	if !ok {
		return nil, d.err()
	}
	d.decode(root, reflect.ValueOf(c).Elem(), "")
	if err := d.resolve(c, root); err != nil {
		return nil, err
	}
	for i := range c.Models {
		p, _ := c.Provider(c.Models[i].Provider)
		c.Models[i].fill(p.Dialect)
	}
	(&checker{decoder: d, c: c, now: now}).catalog()
	if err := d.err(); err != nil {
		return nil, err
	}
	for i := range c.Tenants {
		c.Tenants[i].Models = c.ids(c.Tenants[i].Models)
	}
	c.Default.Models = c.ids(c.Default.Models)
	c.content = contentHash(data)
	c.Revision = cmp.Or(c.Revision, c.content)
	return c, nil
}

// contentHash is short, since it goes into every record of a call.
func contentHash(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256-" + hex.EncodeToString(sum[:6])
}
