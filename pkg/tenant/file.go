package tenant

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
)

// File is a tenants file that is changed by tools as well as by people: what people
// wrote, comments included, stays as it is.
type File struct {
	path string
	text string
	is   catalog.TenantsFile
}

// newFile is the text of a file without tenants.
const newFile = "# Tenants of Weir. Keys and passwords are hashed; webhook secrets are not.\nversion: 1\ntenants:\n"

// OpenFile reads the tenants file at path; one that is not there has no tenants yet.
// Whether what it says is right is for [catalog.Catalog.WithTenants] to say.
func OpenFile(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = []byte(newFile), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the tenants file: %w", err)
	}
	f := &File{path: path, text: string(data)}
	if err := yaml.Unmarshal(data, &f.is); err != nil {
		return nil, fmt.Errorf("reading the tenants file %s: %w", path, err)
	}
	return f, nil
}

// Tenants are those of the file.
func (f *File) Tenants() []catalog.Tenant { return f.is.Tenants }

// Text is the file as it would be written.
func (f *File) Text() []byte { return []byte(f.text) }

// Find is a tenant of the file.
func (f *File) Find(id string) (catalog.Tenant, error) {
	i, err := f.index(id)
	if err != nil {
		return catalog.Tenant{}, err
	}
	return f.is.Tenants[i], nil
}

func (f *File) index(id string) (int, error) {
	i := slices.IndexFunc(f.is.Tenants, func(t catalog.Tenant) bool { return t.ID == id })
	if i < 0 {
		return 0, event.Invalid("tenant", "see weir tenant ls", "%s has no tenant %q", f.path, id)
	}
	return i, nil
}

// Add adds a tenant.
func (f *File) Add(t catalog.Tenant) error {
	if err := event.CheckName("tenant", t.ID); err != nil {
		return err
	}
	if _, err := f.index(t.ID); err == nil {
		return event.Invalid("tenant", "add a key to it with weir tenant key", "%s has a tenant %q already", f.path, t.ID)
	}
	want := f.is
	want.Tenants = append(slices.Clip(want.Tenants), t)
	return f.change(want, func(root *ast.MappingNode) error { return appendTo(root, "tenants", t) })
}

// AddKey adds a key to a tenant.
func (f *File) AddKey(id string, key catalog.Key) error {
	i, err := f.index(id)
	if err != nil {
		return err
	}
	want := f.is
	want.Tenants = slices.Clone(want.Tenants)
	want.Tenants[i].Keys = append(slices.Clip(want.Tenants[i].Keys), key)
	return f.change(want, func(root *ast.MappingNode) error {
		entry, err := entryOf(root, i)
		if err != nil {
			return err
		}
		return appendTo(entry, "keys", key)
	})
}

// Remove takes a tenant out.
func (f *File) Remove(id string) error {
	i, err := f.index(id)
	if err != nil {
		return err
	}
	want := f.is
	want.Tenants = slices.Delete(slices.Clone(want.Tenants), i, i+1)
	return f.change(want, func(root *ast.MappingNode) error {
		list, ok := valueOf(root, "tenants").(*ast.SequenceNode)
		if !ok {
			return errForm
		}
		list.Values = slices.Delete(list.Values, i, i+1)
		if len(list.ValueHeadComments) > i {
			list.ValueHeadComments = slices.Delete(list.ValueHeadComments, i, i+1)
		}
		if len(list.Entries) > i {
			list.Entries = slices.Delete(list.Entries, i, i+1)
		}
		return nil
	})
}

// errForm is why a file can't be changed by tools.
var errForm = errors.New("it is written in a form that tools can't change; write it with - item lines, or edit it by hand")

// change edits the text and makes sure that it says what is wanted afterwards.
func (f *File) change(want catalog.TenantsFile, edit func(root *ast.MappingNode) error) error {
	text, err := edited(f.text, edit)
	var is catalog.TenantsFile
	if err == nil && (yaml.Unmarshal([]byte(text), &is) != nil || !same(is, want)) {
		err = errForm
	}
	if err != nil {
		return fmt.Errorf("changing the tenants file %s: %w", f.path, err)
	}
	f.text, f.is = text, is
	return nil
}

// same compares what two files say; an empty list is as none.
func same(a, b catalog.TenantsFile) bool {
	if len(a.Tenants) == 0 && len(b.Tenants) == 0 {
		a.Tenants, b.Tenants = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

func edited(text string, edit func(root *ast.MappingNode) error) (string, error) {
	file, err := parser.ParseBytes([]byte(text), parser.ParseComments)
	if err != nil {
		return "", err
	}
	if len(file.Docs) != 1 {
		return "", errForm
	}
	root, ok := file.Docs[0].Body.(*ast.MappingNode)
	if !ok {
		return "", errForm
	}
	if err := edit(root); err != nil {
		return "", err
	}
	return file.String(), nil
}

// entryOf is the entry of a tenant.
func entryOf(root *ast.MappingNode, i int) (*ast.MappingNode, error) {
	list, ok := valueOf(root, "tenants").(*ast.SequenceNode)
	if !ok || i >= len(list.Values) {
		return nil, errForm
	}
	entry, ok := list.Values[i].(*ast.MappingNode)
	if !ok {
		return nil, errForm
	}
	return entry, nil
}

// valueOf is the value of a key, nil without the key.
func valueOf(m *ast.MappingNode, key string) ast.Node {
	for _, v := range m.Values {
		if v.Key.GetToken().Value == key {
			return v.Value
		}
	}
	return nil
}

// appendTo adds an item to the list under a key, which may be missing or empty.
func appendTo(m *ast.MappingNode, key string, item any) error {
	made, err := yaml.ValueToNode(map[string]any{key: []any{item}})
	if err != nil {
		return err
	}
	from, ok := made.(*ast.MappingNode)
	if !ok || len(from.Values) != 1 {
		return errForm
	}
	list, ok := from.Values[0].Value.(*ast.SequenceNode)
	if !ok {
		return errForm
	}
	for i, v := range m.Values {
		if v.Key.GetToken().Value != key {
			continue
		}
		if old, ok := v.Value.(*ast.SequenceNode); ok && len(old.Values) > 0 {
			if old.IsFlowStyle {
				return errForm
			}
			old.Merge(list)
			return nil
		}
		m.Values = slices.Delete(m.Values, i, i+1)
		break
	}
	m.Merge(from)
	return nil
}

// Write replaces the file at once, for its owner's eyes.
func (f *File) Write() error {
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("writing the tenants file: %w", err)
	}
	next, err := os.CreateTemp(dir, ".tenants-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("writing the tenants file: %w", err)
	}
	defer os.Remove(next.Name()) //nolint:errcheck // it is gone when all went well
	_, err = next.WriteString(f.text)
	if err = errors.Join(err, next.Sync(), next.Close()); err == nil {
		err = os.Rename(next.Name(), f.path)
	}
	if err != nil {
		return fmt.Errorf("writing the tenants file: %w", err)
	}
	return nil
}
