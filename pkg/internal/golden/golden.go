// Package golden compares what is written to streams and buckets with files of
// earlier versions.
package golden

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// JSON compares value's JSON with testdata/<name>.json, and the file's value with
// value. With -update the file is written first.
func JSON[T any](t *testing.T, name string, decode func([]byte) (T, error), value T) {
	t.Helper()
	path := filepath.Join("testdata", name+".json")
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, '\n')
	if *update {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update)", err)
	}
	if !bytes.Equal(data, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, data, want)
	}
	back, err := decode(want)
	if err != nil {
		t.Errorf("%s: reading back: %v", name, err)
	}
	if !reflect.DeepEqual(back, value) {
		t.Errorf("%s: read back\n%+v\nwant\n%+v", name, back, value)
	}
}
