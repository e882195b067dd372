package llm_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/llm"
)

func TestBestMode(t *testing.T) {
	t.Parallel()
	object := json.RawMessage(`{"type":"object"}`)
	for _, tc := range []struct {
		can    catalog.Supports
		format llm.Format
		want   llm.FormatMode
	}{
		{catalog.Supports{JSONSchema: "strict", Tools: true}, llm.Format{Schema: object, Strict: object}, llm.FormatStrict},
		{catalog.Supports{JSONSchema: "strict", Tools: true}, llm.Format{Schema: object}, llm.FormatSchema},
		{catalog.Supports{JSONSchema: "yes", Tools: true}, llm.Format{Schema: object, Strict: object}, llm.FormatSchema},
		{catalog.Supports{Tools: true}, llm.Format{Schema: object, Strict: object}, llm.FormatTool},
		{catalog.Supports{}, llm.Format{Schema: object, Strict: object}, llm.FormatNone},
		{catalog.Supports{JSONSchema: "strict", Tools: true}, llm.Format{Schema: json.RawMessage(`{"type":"array"}`)}, llm.FormatNone},
		{catalog.Supports{JSONSchema: "yes"}, llm.Format{Schema: json.RawMessage(`true`)}, llm.FormatNone},
	} {
		if got := tc.format.BestMode(tc.can); got != tc.want {
			t.Errorf("%+v of %s: got %s, want %s", tc.can, tc.format.Schema, got, tc.want)
		}
	}
}

func TestInstruct(t *testing.T) {
	t.Parallel()
	schema := json.RawMessage(`{"type":"object","title":"Invoice"}`)
	user := llm.Message{Role: "user", Content: "hi"}
	for _, mode := range []llm.FormatMode{llm.FormatStrict, llm.FormatSchema, llm.FormatTool, llm.FormatNone, ""} {
		format := &llm.Format{Name: "invoice", Schema: schema, Mode: mode}
		for _, in := range [][]llm.Message{nil, {user}, {{Role: "system", Content: "Be brief."}, user}, {{Role: "system"}, user}} {
			before := slices.Clone(in)
			got := llm.Instruct(in, format)
			system, held := got[0].Content, strings.Contains(got[0].Content, string(schema))
			if got[0].Role != "system" || !strings.Contains(system, "JSON") || held != (mode == llm.FormatNone || mode == "") {
				t.Errorf("%s: system message %q", mode, system)
			}
			if !reflect.DeepEqual(in, before) || len(in) > 0 && !reflect.DeepEqual(got[len(got)-1], user) || len(in) == 2 && (len(got) != 2 || !strings.HasPrefix(system, in[0].Content)) {
				t.Errorf("%s: %+v became %+v, before %+v", mode, in, got, before)
			}
		}
	}
}
