package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weir-dev/weir/pkg/event"
)

var update = flag.Bool("update", false, "write the schemas anew")

const (
	root    = "../.."
	schemas = root + "/api/schemas"
	samples = root + "/pkg/event/testdata"
)

// message is one that travels, under the name of its schema and its samples.
type message struct {
	name  string
	value any
	// required are the fields that a sender must give; nil are those that are
	// always written.
	required []string
}

func messages() []message {
	return []message{
		{"generate_job", event.GenerateJob{}, []string{"v", "messages"}},
		{"ingest_job", event.IngestJob{}, []string{"v", "collection", "document"}},
		{"delete_job", event.DeleteJob{}, []string{"v", "collection", "document"}},
		{"verify_job", event.VerifyJob{}, []string{"v"}},
		{"reindex_job", event.ReindexJob{}, []string{"v", "collection"}},
		{"embed_job", event.EmbedJob{}, []string{"v", "inputs"}},
		{"batch_job", event.BatchJob{}, []string{"v", "input_file", "endpoint"}},
		{"result", event.Result{}, nil},
		{"life", event.Life{}, nil},
		{"token", event.Token{}, nil},
		{"query_request", event.QueryRequest{}, []string{"v", "text", "collection"}},
		{"query_reply", event.QueryReply{}, nil},
		{"embed_request", event.EmbedRequest{}, nil},
		{"embed_reply", event.EmbedReply{}, nil},
		{"rerank_request", event.RerankRequest{}, nil},
		{"rerank_reply", event.RerankReply{}, nil},
		{"chunk_batch", event.ChunkBatch{}, nil},
		{"generate_task", event.GenerateTask{}, nil},
		{"route_task", event.RouteTask{}, nil},
		{"observation", event.Observation{}, nil},
	}
}

// schemaOf is the JSON Schema of a message, with the types' comments.
func schemaOf(t *testing.T, m message) []byte {
	t.Helper()
	r := jsonschema.Reflector{AllowAdditionalProperties: true, Anonymous: true, ExpandedStruct: true}
	// The comments are found by folder, relative to the module's import path.
	t.Chdir(root)
	if err := r.AddGoComments("github.com/weir-dev/weir", "./pkg/event"); err != nil {
		t.Fatal(err)
	}
	s := r.Reflect(m.value)
	s.Title = m.name
	s.ID = jsonschema.ID("https://weir.dev/schemas/" + m.name + ".json")
	if m.required != nil {
		s.Required = m.required
		if d := s.Definitions["Document"]; d != nil {
			d.Required = nil
		}
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	// Comments are broken where the source is.
	return append(bytes.ReplaceAll(data, []byte(`\n`), []byte(" ")), '\n')
}

// TestSchemas: the files are what the types say.
func TestSchemas(t *testing.T) { //nolint:paralleltest // changes the folder
	var names []string
	for _, m := range messages() {
		names = append(names, m.name+".json")
		t.Run(m.name, func(t *testing.T) { //nolint:paralleltest // changes the folder
			path, err := filepath.Abs(filepath.Join(schemas, m.name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			want := schemaOf(t, m)
			if *update {
				if err := os.WriteFile(path, want, 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s is not what pkg/event says; run make generate", path)
			}
		})
	}
	entries, err := os.ReadDir(schemas)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(names, e.Name()) {
			t.Errorf("api/schemas has %s, which is no message", e.Name())
		}
	}
}

// TestSamples: every golden sample is valid by the schema of its message, and
// every message that users send or get has one.
func TestSamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(samples, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	compiled := map[string]*validator.Schema{}
	for _, m := range messages() {
		s, err := validator.NewCompiler().Compile(filepath.Join(schemas, m.name+".json"))
		if err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		compiled[m.name] = s
	}
	sampled := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		best := ""
		for known := range compiled {
			if strings.HasPrefix(name, known) && len(known) > len(best) {
				best = known
			}
		}
		if best == "" {
			t.Errorf("%s is a sample of no message", file)
			continue
		}
		sampled[best] = true
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		value, err := validator.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := compiled[best].Validate(value); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, m := range messages()[:10] {
		if !sampled[m.name] {
			t.Errorf("there is no sample of %s in pkg/event/testdata", m.name)
		}
	}
}

// TestSchemasRefuse: a schema that takes everything is no schema.
func TestSchemasRefuse(t *testing.T) {
	t.Parallel()
	for _, m := range messages() {
		s, err := validator.NewCompiler().Compile(filepath.Join(schemas, m.name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range []any{map[string]any{}, map[string]any{"v": "one"}, []any{}} {
			if s.Validate(wrong) == nil {
				t.Errorf("%s takes %v", m.name, wrong)
			}
		}
	}
	if got := reflect.TypeFor[event.Result]().NumField(); got < 10 {
		t.Errorf("a result has %d fields", got)
	}
}
