package catalog

import (
	_ "embed"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// dialectsText is the built-in dialects, as data.
//
//go:embed dialects.yaml
var dialectsText []byte

// Dialects returns the built-in dialects by name. Each call returns new values.
func Dialects() (map[string]Dialect, error) {
	out, err := table[Dialect](dialectsText)
	if err != nil {
		return nil, fmt.Errorf("reading the built-in dialects: %w", err)
	}
	return out, nil
}

// table reads a mapping from names to values of one type.
func table[T any](text []byte) (map[string]T, error) {
	out := map[string]T{}
	d := newDecoder()
	if root, ok := d.parseYAML(text); ok {
		d.decode(root, reflect.ValueOf(&out).Elem(), "")
	}
	return out, d.err()
}

// resolve gives each provider its dialect: the built-in one that it names, with
// the fields under override read over it, so that an override may also set a
// field to false or empty.
func (d *decoder) resolve(c *Catalog, root ast.Node) error {
	known, err := Dialects()
	if err != nil {
		return err
	}
	for i := range c.Providers {
		p, path := &c.Providers[i], fmt.Sprintf("providers[%d]", i)
		base, ok := known[p.Use]
		if !ok {
			d.fail(path+".dialect", "use one of "+strings.Join(slices.Sorted(maps.Keys(known)), ", ")+"; openai fits most endpoints", "unknown dialect %q", p.Use)
			continue
		}
		if own := child(item(child(root, "providers"), i), "override"); own != nil {
			d.decode(own, reflect.ValueOf(&base).Elem(), path+".override")
		}
		p.Dialect = base
	}
	return nil
}

// child is the value of key in a mapping, nil if there is none.
func child(node ast.Node, key string) ast.Node {
	m, ok := node.(ast.MapNode)
	if !ok {
		return nil
	}
	for i := m.MapRange(); i.Next(); {
		if i.Key().GetToken().Value == key {
			return i.Value()
		}
	}
	return nil
}

// item is entry i of a list, nil if there is none.
func item(node ast.Node, i int) ast.Node {
	s, ok := node.(*ast.SequenceNode)
	if !ok || i >= len(s.Values) {
		return nil
	}
	return s.Values[i]
}
