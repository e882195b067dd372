package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/event"
)

// Request is everything that decides an answer.
type Request struct {
	Tenant string
	Task   string
	// Model is set when the job names one; else Policy is the revision of the
	// policy that chooses.
	Model   string
	Policy  string
	Catalog string // revision
	// Messages as they go to the model.
	Messages    []event.Message
	MaxTokens   int
	Temperature *float64
	// Tooling is the job's.
	event.Tooling
	// Schema and Checks are JSON, whatever their kind; nil is none.
	Schema json.RawMessage
	Checks json.RawMessage
	// RAG is the job's; nil when it asks for no documents.
	RAG *event.RAG
	// Sources are those in the prompt.
	Sources []event.SourceVersion
}

// RequestKey is the SHA-256 of a request in hex. The order of JSON fields and of
// readers, and blanks in JSON, make no difference; anything else does. Numbers
// in JSON count as they are written: 1 and 1.0 are two.
func RequestKey(r Request) string {
	d := digest{sha256.New()}
	d.text("weir cache request 2")
	d.request(r)
	d.sources(r.Sources)
	return fmt.Sprintf("%x", d.Sum(nil))
}

// ContextKey is the hash of what two requests must share when their questions are
// the same in other words: all of the request but its last message and the
// sources. Give it the job's own messages, not the prompt that holds sources.
func ContextKey(r Request) string {
	r.Messages = r.Messages[:max(0, len(r.Messages)-1)]
	d := digest{sha256.New()}
	d.text("weir cache context 2")
	d.request(r)
	return fmt.Sprintf("%x", d.Sum(nil))
}

// digest adds values with their lengths, so that no two sequences of values are
// the same bytes. A hash's Write never fails.
type digest struct{ hash.Hash }

func (d digest) text(s string) {
	d.number(len(s))
	io.WriteString(d, s) //nolint:errcheck // see above
}

func (d digest) number(n int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n)) //nolint:gosec // the bits are meant
	d.Write(b[:])
}

func (d digest) texts(list []string) {
	d.number(len(list))
	for _, s := range list {
		d.text(s)
	}
}

func (d digest) float(f *float64) {
	if f == nil {
		d.text("")
		return
	}
	d.text(strconv.FormatFloat(*f+0, 'g', -1, 64)) // + 0 makes -0 be 0
}

func (d digest) request(r Request) {
	d.texts([]string{r.Tenant, r.Task, r.Model, r.Policy, r.Catalog})
	d.number(len(r.Messages))
	for _, m := range r.Messages {
		d.message(&m)
	}
	d.number(r.MaxTokens)
	d.float(r.Temperature)
	d.json(r.Schema)
	d.json(r.Checks)
	d.rag(r.RAG)
	d.tooling(&r.Tooling)
}

func (d digest) message(m *event.Message) {
	d.texts([]string{m.Role, m.Content, m.Name, m.ToolCallID})
	d.number(len(m.ToolCalls))
	for _, c := range m.ToolCalls {
		d.texts([]string{c.ID, c.Type, c.Function.Name, c.Function.Arguments})
	}
}

func (d digest) tooling(t *event.Tooling) {
	d.json(t.Tools)
	d.json(t.ToolChoice)
	d.number(len(t.Params))
	for _, name := range slices.Sorted(maps.Keys(t.Params)) {
		d.text(name)
		d.json(t.Params[name])
	}
}

func (d digest) rag(r *event.RAG) {
	if r == nil {
		d.number(0)
		return
	}
	d.number(1)
	d.text(r.Collection)
	d.number(r.TopK)
	readers := slices.Clone(r.Readers)
	slices.Sort(readers)
	d.texts(slices.Compact(readers))
	d.number(len(r.Filter))
	for _, k := range slices.Sorted(maps.Keys(r.Filter)) {
		d.text(k)
		d.text(r.Filter[k])
	}
	d.float(r.Abstain)
}

func (d digest) sources(list []event.SourceVersion) {
	d.number(len(list))
	for _, s := range list {
		d.text(s.Document)
		d.text(strconv.FormatInt(s.Version, 10))
		d.texts(s.Chunks)
	}
}

// json adds a document in its canonical form. What is no JSON, or could be
// changed by decoding (invalid UTF-8, escaped surrogates), is added as it is.
func (d digest) json(raw json.RawMessage) {
	form, ok := canonicalJSON(raw)
	if !ok {
		d.text("raw")
		d.text(string(raw))
		return
	}
	d.text("json")
	d.text(string(form))
}

// canonicalJSON writes a document without blanks and with its fields sorted.
func canonicalJSON(raw []byte) (form []byte, ok bool) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, true
	}
	if !utf8.Valid(raw) || bytes.Contains(bytes.ToLower(raw), []byte(`\ud`)) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil, false
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, false
	}
	form, err := json.Marshal(v) // sorts the keys of maps
	return form, err == nil
}
