package dead

import (
	"encoding/json"
	"testing"
)

// TestMergePatch has the examples of RFC 7396, appendix A.
func TestMergePatch(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"n":9007199254740993}`, `{"m":1e2}`, `{"m":1e2,"n":9007199254740993}`},
	} {
		if got, err := MergePatch([]byte(c[0]), []byte(c[1])); err != nil || string(got) != c[2] {
			t.Errorf("%s with %s: %s (%v), want %s", c[0], c[1], got, err, c[2])
		}
	}
}

// FuzzMergePatch: what comes out is JSON, and the same patch changes nothing more.
func FuzzMergePatch(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1]}}`), []byte(`{"a":{"b":null,"c":1e400}}`))
	f.Add([]byte(`[]`), []byte(`{"":"\ud800"}`))
	f.Fuzz(func(t *testing.T, document, patch []byte) {
		once, err := MergePatch(document, patch)
		if err != nil {
			return
		}
		twice, err := MergePatch(once, patch)
		if err != nil || !json.Valid(once) || string(once) != string(twice) {
			t.Errorf("%s, then %s (%v)", once, twice, err)
		}
	})
}

// FuzzEdited: an edit never changes how a job is found.
func FuzzEdited(f *testing.F) {
	f.Add([]byte(`{"max_tokens":1}`))
	f.Add([]byte(`{"tenant":null,"messages":[{"role":"user","content":"x"}]}`))
	f.Add([]byte(`{"ID":"x"}`))
	f.Fuzz(func(t *testing.T, edit []byte) {
		out, err := edited(subject("acme"), []byte(`{"v":1,"id":"j1","messages":[{"role":"user","content":"Hi"}]}`), edit)
		if err != nil {
			return
		}
		var head struct{ ID, Tenant string }
		if json.Unmarshal(out, &head) != nil || head.ID != "j1" || head.Tenant != "" {
			t.Errorf("%s becomes %s", edit, out)
		}
	})
}
