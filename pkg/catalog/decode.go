package catalog

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/weir-dev/weir/pkg/event"
)

// Bounds of what is read: the catalog of a public list of all models has a few
// MB and a depth of 7.
const (
	maxBytes  = 8 << 20
	maxDepth  = 50  // of brackets
	maxColumn = 200 // of keys and items in block style
)

// decoder reads a YAML tree into Go values strictly: by the yaml tags of their
// fields, unknown ones refused. Unlike the library's own decoder it goes on
// after an error, so that all are reported, and keeps the place of every path.
type decoder struct {
	places map[string]place
	errs   []*FieldError
	seen   map[string]bool // paths that have an error
	what   string          // the document has
}

// place is where something stands in the file, from 1.
type place struct{ line, column int }

// defaulter is a type whose fields have values before its entry is read.
type defaulter interface{ setDefaults() }

func newDecoder() *decoder {
	return &decoder{places: map[string]place{}, seen: map[string]bool{}, what: "version, providers and models"}
}

// parseYAML reads one document.
func (d *decoder) parseYAML(data []byte) (ast.Node, bool) {
	if len(data) > maxBytes {
		d.fail("", "split it or leave models out", "%d bytes, more than %d", len(data), maxBytes)
		return nil, false
	}
	tokens := lexer.Tokenize(string(data))
	if !d.tokens(tokens) {
		return nil, false
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		d.syntax(err)
		return nil, false
	}
	var docs []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil {
			docs = append(docs, doc.Body)
		}
	}
	if len(docs) != 1 {
		d.fail("", "write one document with "+d.what, "%d YAML documents, want 1", len(docs))
		return nil, false
	}
	return docs[0], true
}

// tokens refuses what a catalog has no use for and the parser takes long over:
// anchors and deep nesting. In block style the nesting is less than the column.
func (d *decoder) tokens(tokens token.Tokens) bool {
	flow := 0 // brackets that are open
	for _, t := range tokens {
		block := 0
		switch t.Type {
		case token.AnchorType, token.AliasType:
			d.places[""] = placeOf(t)
			d.fail("", "write the value out; the limits of a group need to be written only once", "anchors and aliases are not supported")
			return false
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			block = t.Position.Column
		}
		if flow > maxDepth || flow <= 0 && block > maxColumn {
			d.places[""] = placeOf(t)
			d.fail("", "a catalog has no such nesting", "nested too deeply")
			return false
		}
	}
	return true
}

// syntax reports an error of the YAML parser.
func (d *decoder) syntax(err error) {
	message := err.Error()
	var at yaml.Error
	if errors.As(err, &at) {
		message = at.GetMessage()
		if t := at.GetToken(); t != nil && t.Position != nil {
			d.places[""] = place{t.Position.Line, t.Position.Column}
		}
	}
	d.fail("", "the file is not YAML from here on", "%s", message)
}

// fail reports what is wrong at path, the first time only: what follows from it
// would be noise.
func (d *decoder) fail(path, hint, format string, args ...any) {
	if d.seen[path] {
		return
	}
	d.seen[path] = true
	at := d.place(path)
	d.errs = append(d.errs, &FieldError{Line: at.line, Column: at.column, Err: event.Invalid(path, hint, format, args...)})
}

// place is where path stands, or the nearest thing around it that does.
func (d *decoder) place(path string) place {
	for {
		if at, ok := d.places[path]; ok || path == "" {
			return at
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

// has reports whether the file says something at path.
func (d *decoder) has(path string) bool {
	_, ok := d.places[path]
	return ok
}

// decode reads node into v.
func (d *decoder) decode(node ast.Node, v reflect.Value, path string) {
	if tag, ok := node.(*ast.TagNode); ok {
		node = tag.Value
	}
	switch n := node.(type) {
	case *ast.NullNode, nil:
		if v.Kind() != reflect.Interface {
			d.fail(path, "leave the field out, or give it a value", "no value")
		}
		return
	case ast.ScalarNode:
		d.places[path] = placeOf(n.GetToken())
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(node, u, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(node, path, func(key string, value ast.Node, path string) { d.field(v, key, value, path) })
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		d.mapping(node, path, func(key string, value ast.Node, path string) {
			e := reflect.New(v.Type().Elem()).Elem()
			d.decode(value, e, path)
			v.SetMapIndex(reflect.ValueOf(key), e)
		})
	case reflect.Slice:
		d.sequence(node, v, path)
	case reflect.Pointer:
		e := reflect.New(v.Type().Elem())
		d.decode(node, e.Elem(), path)
		v.Set(e)
	case reflect.Interface:
		var value any
		if err := yaml.NodeToValue(node, &value); err != nil {
			d.fail(path, "write plain YAML", "%v", errors.Unwrap(err))
			return
		}
		v.Set(reflect.ValueOf(&value).Elem())
	default:
		d.scalar(node, v, path)
	}
}

// mapping calls each with the entries of a YAML mapping.
func (d *decoder) mapping(node ast.Node, path string, each func(key string, value ast.Node, path string)) {
	m, ok := node.(ast.MapNode)
	if !ok {
		d.fail(path, "write key: value lines, or {key: value}", "%s, want a mapping", kind(node))
		return
	}
	for i := m.MapRange(); i.Next(); {
		key := i.Key().GetToken()
		if i.Key().IsMergeKey() {
			d.fail(join(path, "<<"), "write the values out", "merge keys are not supported")
			continue
		}
		at := join(path, key.Value)
		d.places[at] = placeOf(key)
		each(key.Value, i.Value(), at)
	}
}

// field reads one field of the struct v.
func (d *decoder) field(v reflect.Value, key string, value ast.Node, path string) {
	var known []string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue // not of the file
		}
		if name == key {
			d.decode(value, v.Field(i), path)
			return
		}
		known = append(known, name)
	}
	d.fail(path, "known here: "+strings.Join(known, ", "), "unknown field")
}

func (d *decoder) sequence(node ast.Node, v reflect.Value, path string) {
	s, ok := node.(*ast.SequenceNode)
	if !ok {
		d.fail(path, "write - item lines, or [item, item]", "%s, want a list", kind(node))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	for i, value := range s.Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.places[at] = placeOf(first(value))
		if def, ok := v.Index(i).Addr().Interface().(defaulter); ok {
			def.setDefaults()
		}
		d.decode(value, v.Index(i), at)
	}
}

func (d *decoder) text(node ast.Node, u encoding.TextUnmarshaler, path string) {
	s, ok := node.(ast.ScalarNode)
	if !ok {
		d.fail(path, "write one value", "%s, want a value", kind(node))
		return
	}
	if err := u.UnmarshalText([]byte(s.GetToken().Value)); err != nil {
		hint, what := "write a duration such as 500ms, 30s or 2m", "a duration"
		switch u.(type) {
		case *Tau:
			hint, what = "write auto, or a number from 0 to 1", "a threshold"
		case *time.Time:
			hint, what = "write a time such as 2027-01-31T00:00:00Z", "a time"
		}
		d.fail(path, hint, "%q is not %s", s.GetToken().Value, what)
	}
}

// scalar reads a string, number or bool.
func (d *decoder) scalar(node ast.Node, v reflect.Value, path string) {
	ok := false
	switch v.Kind() {
	case reflect.String:
		var s string
		if s, ok = scalarText(node); ok {
			v.SetString(s)
		}
	case reflect.Bool:
		var n *ast.BoolNode
		if n, ok = node.(*ast.BoolNode); ok {
			v.SetBool(n.Value)
		}
	case reflect.Int, reflect.Int64:
		var n int64
		if n, ok = integer(node); ok {
			v.SetInt(n)
		}
	case reflect.Float64:
		var f float64
		if f, ok = float(node); ok {
			v.SetFloat(f)
		}
	}
	if !ok {
		want := map[reflect.Kind]string{reflect.String: "a text", reflect.Bool: "true or false", reflect.Float64: "a number"}[v.Kind()]
		if want == "" {
			want = "an integer"
		}
		d.fail(path, "write "+want, "%s, want %s", kind(node), want)
	}
}

// scalarText is a text, or a number as it is written.
func scalarText(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return node.GetToken().Value, true
	}
	return "", false
}

func integer(node ast.Node) (int64, bool) {
	n, ok := node.(*ast.IntegerNode)
	if !ok {
		return 0, false
	}
	switch v := n.Value.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	}
	return 0, false
}

func float(node ast.Node) (float64, bool) {
	if n, ok := node.(*ast.FloatNode); ok {
		return n.Value, true
	}
	n, ok := integer(node)
	return float64(n), ok
}

// kind says what was found, for errors.
func kind(node ast.Node) string {
	switch n := node.(type) {
	case ast.MapNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case ast.ScalarNode:
		return strconv.Quote(n.GetToken().Value)
	}
	return "something else"
}

// first is the first token of a value; a mapping's own is the colon.
func first(node ast.Node) *token.Token {
	if m, ok := node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken()
	}
	if m, ok := node.(*ast.MappingValueNode); ok {
		return m.Key.GetToken()
	}
	return node.GetToken()
}

func placeOf(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{}
	}
	return place{t.Position.Line, t.Position.Column}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// FieldError is one mistake in a catalog file and where it is.
type FieldError struct {
	Line, Column int // from 1; 0 where the file has no such place
	Err          *event.Error
}

// Error is "line 12, column 5: models[2].fallback[0]: no model "x" (hint)".
func (e *FieldError) Error() string {
	text := e.Err.Message
	if e.Err.Field != "" {
		text = e.Err.Field + ": " + text
	}
	if e.Err.Hint != "" {
		text += " (" + e.Err.Hint + ")"
	}
	if e.Line == 0 {
		return text
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, text)
}

// Unwrap returns the class and field of the mistake.
func (e *FieldError) Unwrap() error { return e.Err }

// err joins all mistakes in the order of the file.
func (d *decoder) err() error {
	slices.SortStableFunc(d.errs, func(a, b *FieldError) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Err.Field, b.Err.Field))
	})
	errs := make([]error, len(d.errs))
	for i, e := range d.errs {
		errs[i] = e
	}
	return errors.Join(errs...)
}
