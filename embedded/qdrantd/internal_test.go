package qdrantd

import (
	"fmt"
	"testing"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// TestFieldPolicyNamesExist catches a misspelt message or field in the list.
func TestFieldPolicyNamesExist(t *testing.T) {
	t.Parallel()
	for message, fields := range newFieldPolicy() {
		pkg := protoreflect.FullName("qdrant")
		if message == "Timestamp" {
			pkg = "google.protobuf"
		}
		mt, err := protoregistry.GlobalTypes.FindMessageByName(pkg.Append(message))
		if err != nil {
			t.Errorf("message %s: %v", message, err)
			continue
		}
		for f := range fields {
			tuning := fields["enable_hnsw"] // index tuning lists the union of all kinds
			if f != opaque && !tuning && mt.Descriptor().Fields().ByName(f) == nil {
				t.Errorf("message %s has no field %s", message, f)
			}
		}
	}
}

// TestFieldPolicyCoversHandlers checks that every rpc which is implemented can
// be reached, by the list of rpcs that are served.
func TestFieldPolicyCoversHandlers(t *testing.T) {
	t.Parallel()
	p := newFieldPolicy()
	services := map[string][]string{
		"Points": {"Upsert", "Delete", "Get", "SetPayload", "OverwritePayload", "DeletePayload", "ClearPayload", "CreateFieldIndex",
			"DeleteFieldIndex", "Facet", "Scroll", "Count", "Query", "QueryBatch", "QueryGroups"},
		"Collections": {"Get", "List", "Create", "Delete", "UpdateAliases", "ListCollectionAliases", "ListAliases", "CollectionExists"},
		"Snapshots":   {"Create", "List", "Delete"},
		"Qdrant":      {"HealthCheck"},
	}
	for service, rpcs := range services {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName("qdrant." + service))
		if err != nil {
			t.Fatalf("service %s: %v", service, err)
		}
		for _, rpc := range rpcs {
			m := d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(rpc))
			if p[m.Input().Name()] == nil {
				t.Errorf("rpc %s.%s: message %s is not allowed", service, rpc, m.Input().Name())
			}
		}
	}
}

func TestParsePath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a": "[{a 0 0}]", "a.b": "[{a 0 0} {b 0 0}]", "a[]": "[{a 0 0} { 0 2}]", "a[3].b": "[{a 0 0} { 3 1} {b 0 0}]",
		`"a.b".c`: "[{a.b 0 0} {c 0 0}]", `a."b c"`: "[{a 0 0} {b c 0 0}]", "ключ-1_x": "[{ключ-1_x 0 0}]", `""`: "[{ 0 0}]",
		"": "", "a.": "", ".a": "", "a[": "", "a[x]": "", "a[-1]": "", `"a`: "", `a"b"`: "", "a b": "", `"a\b"`: "", "a]b[1]c": "",
	} {
		got, err := parsePath(in)
		if want == "" {
			if err == nil {
				t.Errorf("path %q: got %v, want an error", in, got)
			}
			continue
		}
		if fmt.Sprint(got) != want || err != nil {
			t.Errorf("path %q: got %v, error %v; want %s", in, got, err, want)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	f.Add("a.b[0].\"c d\"[]")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := parsePath(s); err == nil && p[0].kind != segKey {
			t.Errorf("path %q does not start with a key: %v", s, p)
		}
	})
}

func FuzzPayloadValue(f *testing.F) {
	raw, err := encodePayload(pb.NewValueMap(map[string]any{"a": "b", "": 1}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw, "a")
	f.Fuzz(func(_ *testing.T, raw []byte, key string) { payloadValue(raw, key) }) // must end, and not panic
}

func TestPayloadValue(t *testing.T) {
	t.Parallel()
	raw, err := encodePayload(pb.NewValueMap(map[string]any{"a": "x", "": "empty", "null": nil, "n": 7}))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"a": "x", "": "empty"} {
		if v, ok := payloadValue(raw, key); !ok || v.GetStringValue() != want {
			t.Errorf("key %q: %v %v, want %q", key, v, ok, want)
		}
	}
	if v, ok := payloadValue(raw, "null"); !ok || !isNullValue(v) {
		t.Errorf("null: %v %v", v, ok)
	}
	if v, ok := payloadValue(raw, "missing"); ok {
		t.Errorf("missing: %v", v)
	}
}

// TestWordsOfAnyAlignment reads numbers from odd addresses too, where bbolt's
// inlined buckets may put them.
func TestWordsOfAnyAlignment(t *testing.T) {
	t.Parallel()
	raw := append([]byte{0, 0, 0, 0}, appendFloats(nil, []float32{1.5, -2})...)
	for shift := range 4 {
		buf := make([]byte, len(raw)+4)
		copy(buf[shift:], raw)
		if got := floats(buf[shift+4 : shift+len(raw)]); fmt.Sprint(got) != "[1.5 -2]" {
			t.Errorf("shifted by %d: %v", shift, got)
		}
	}
	if got := floats(nil); got != nil {
		t.Errorf("nothing: %v", got)
	}
}
