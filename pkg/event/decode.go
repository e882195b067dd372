package event

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// DecodeGenerateJob reads and checks a job published to subject.
func DecodeGenerateJob(subject string, data []byte) (GenerateJob, error) {
	var j GenerateJob
	if err := decodeJob(subject, data, &j, &j.Envelope); err != nil {
		return j, err
	}
	return j, j.validate()
}

// DecodeIngestJob reads and checks a job published to subject.
func DecodeIngestJob(subject string, data []byte) (IngestJob, error) {
	var j IngestJob
	if err := decodeJob(subject, data, &j, &j.Envelope); err != nil {
		return j, err
	}
	return j, j.validate()
}

// DecodeDeleteJob reads and checks a job published to subject.
func DecodeDeleteJob(subject string, data []byte) (DeleteJob, error) {
	var j DeleteJob
	if err := decodeJob(subject, data, &j, &j.Envelope); err != nil {
		return j, err
	}
	return j, errors.Join(CheckName("collection", j.Collection), CheckName("document", j.Document), checkDocumentVersion("version", j.Version))
}

// DecodeVerifyJob reads and checks a job published to subject.
func DecodeVerifyJob(subject string, data []byte) (VerifyJob, error) {
	var j VerifyJob
	if err := decodeJob(subject, data, &j, &j.Envelope); err != nil || j.Collection == "" {
		return j, err
	}
	return j, CheckName("collection", j.Collection)
}

// DecodeReindexJob reads and checks a job published to subject.
func DecodeReindexJob(subject string, data []byte) (ReindexJob, error) {
	var j ReindexJob
	if err := decodeJob(subject, data, &j, &j.Envelope); err != nil {
		return j, err
	}
	if err := CheckName("collection", j.Collection); err != nil || j.Document == "" {
		return j, err
	}
	return j, CheckName("document", j.Document)
}

// DecodeEmbedJob reads and checks a job published to subject.
func DecodeEmbedJob(subject string, data []byte) (EmbedJob, error) {
	var j EmbedJob
	if err := decodeJob(subject, data, &j, &j.Envelope); err != nil {
		return j, err
	}
	if j.Model != "" {
		if err := CheckName("model", j.Model); err != nil {
			return j, err
		}
	}
	if n := len(j.Inputs); n == 0 || n > MaxInputs {
		return j, Invalid("inputs", fmt.Sprintf("send 1 to %d texts", MaxInputs), "has %d", n)
	}
	for i, text := range j.Inputs {
		if text == "" {
			return j, Invalid(fmt.Sprintf("inputs[%d]", i), "leave it out or give it text", "empty")
		}
	}
	return j, nil
}

// MaxInputs bounds the texts of an embed job, as OpenAI does.
const MaxInputs = 2048

// DecodeBatchJob reads and checks a job published to subject.
func DecodeBatchJob(subject string, data []byte) (BatchJob, error) {
	var j BatchJob
	if err := decodeJob(subject, data, &j, &j.Envelope); err != nil {
		return j, err
	}
	switch j.Endpoint {
	case "/v1/chat/completions", "/v1/embeddings", "/v1/jobs":
	default:
		return j, Invalid("endpoint", "use /v1/chat/completions, /v1/embeddings or /v1/jobs", "got %q", j.Endpoint)
	}
	return j, CheckName("input_file", j.InputFile)
}

// Decode reads a message between stages and checks its version.
func Decode[T versioned](data []byte) (T, error) {
	var msg T
	if err := unmarshal(data, &msg); err != nil {
		return msg, versionOr(data, err)
	}
	return msg, checkVersion(msg.version())
}

// versioned is any message.
type versioned interface{ version() int }

func (e Envelope) version() int      { return e.V }
func (r Result) version() int        { return r.V }
func (l Life) version() int          { return l.V }
func (t Token) version() int         { return t.V }
func (r EmbedRequest) version() int  { return r.V }
func (r EmbedReply) version() int    { return r.V }
func (r QueryRequest) version() int  { return r.V }
func (r QueryReply) version() int    { return r.V }
func (r RerankRequest) version() int { return r.V }
func (r RerankReply) version() int   { return r.V }

// versionOr returns the error of an unknown version, if that is what data has,
// or err: a later version may have other types in known fields.
func versionOr(data []byte, err error) error {
	var head struct{ V *int }
	if json.Unmarshal(data, &head) == nil && head.V != nil {
		if verr := checkVersion(*head.V); verr != nil {
			return verr
		}
	}
	return err
}

// Head is what the runner reads of any message.
type Head struct {
	ID          string    `json:"id"`
	Deadline    time.Time `json:"deadline"`
	SubmittedAt time.Time `json:"submitted_at"`
	NotBefore   time.Time `json:"not_before"`
	Receipt     Receipt   `json:"receipt"`
	// Webhook and Metadata go into the result.
	Webhook  string            `json:"webhook"`
	Metadata map[string]string `json:"metadata"`
}

// Peek reads the head of any message, checking nothing else. It reports false
// when data is no JSON object; an unusable id comes back empty then as well.
func Peek(data []byte) (Head, bool) {
	var head Head
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return head, false // null would decode as well
	}
	if CheckValues(data) != nil { // it is refused; only whose it is must be told
		var named struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(data, &named) != nil || named.ID != "" && CheckName("id", named.ID) != nil {
			return head, false
		}
		head.ID = named.ID
		return head, true
	}
	if json.Unmarshal(data, &head) != nil {
		// One wrong field must not hide the others: whose job it is, and who is told.
		var ok bool
		if head, ok = peekFields(data); !ok {
			return Head{}, false
		}
	}
	if head.ID != "" && CheckName("id", head.ID) != nil {
		return Head{}, false
	}
	return head, true
}

// peekFields reads the head field by field. It reports false when there is no telling
// the job's id.
func peekFields(data []byte) (Head, bool) {
	var head Head
	var fields struct {
		ID          string          `json:"id"`
		Deadline    json.RawMessage `json:"deadline"`
		SubmittedAt json.RawMessage `json:"submitted_at"`
		NotBefore   json.RawMessage `json:"not_before"`
		Receipt     json.RawMessage `json:"receipt"`
		Webhook     json.RawMessage `json:"webhook"`
		Metadata    json.RawMessage `json:"metadata"`
	}
	if json.Unmarshal(data, &fields) != nil {
		return head, false
	}
	head.ID = fields.ID
	readField(fields.Deadline, &head.Deadline)
	readField(fields.SubmittedAt, &head.SubmittedAt)
	readField(fields.NotBefore, &head.NotBefore)
	readField(fields.Receipt, &head.Receipt)
	readField(fields.Webhook, &head.Webhook)
	readField(fields.Metadata, &head.Metadata)
	return head, true
}

// readField sets to when raw is a value of its type.
func readField[T any](raw json.RawMessage, to *T) {
	var value T
	if len(raw) > 0 && json.Unmarshal(raw, &value) == nil {
		*to = value
	}
}

// MaxValues bounds the values in the JSON of a job: an empty object in a list has three
// bytes, and takes a hundred and more when it is decoded.
const MaxValues = 1_000_000

// CheckValues checks that a job has at most MaxValues values in it, before it is
// decoded. What is no JSON is for the decoder to refuse.
func CheckValues(data []byte) error {
	if len(data) <= MaxValues {
		return nil
	}
	n, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case !inString && (c == ',' || c == '{' || c == '['):
			n++
		}
	}
	if n <= MaxValues {
		return nil
	}
	return &Error{Class: ClassTooLarge, Field: "body", Message: fmt.Sprintf("the JSON has more than %d values", MaxValues), Hint: "split the job"}
}

func decodeJob(subject string, data []byte, job any, env *Envelope) error {
	addr, err := ParseAddress(subject)
	if err == nil {
		err = CheckValues(data)
	}
	if err != nil {
		return err
	}
	if err := unmarshal(data, job); err != nil {
		return versionOr(data, err)
	}
	if env.V == 0 {
		return Invalid("v", `add "v":1`, "missing")
	}
	if err := checkVersion(env.V); err != nil {
		return err
	}
	return env.adopt(addr)
}

// adopt fills the envelope from the subject, which is the truth.
func (e *Envelope) adopt(a Address) error {
	if e.Tenant != "" && e.Tenant != a.Tenant {
		return Invalid("tenant", "leave it out or publish to that tenant's subject",
			"body says %q, subject says %q", e.Tenant, a.Tenant)
	}
	if e.Lane != "" && e.Lane != a.Lane {
		return Invalid("lane", "leave it out or publish to that lane's subject",
			"body says %q, subject says %q", e.Lane, a.Lane)
	}
	e.Tenant, e.Lane = a.Tenant, a.Lane
	if e.ID != "" {
		if err := CheckName("id", e.ID); err != nil {
			return err
		}
	}
	if n := len(e.Webhook); n > MaxField {
		return Invalid("webhook", fmt.Sprintf("use a URL of at most %d bytes", MaxField), "has %d bytes", n)
	}
	return checkMetadata("metadata", e.Metadata)
}

// MaxAhead bounds how far ahead a job may be scheduled: a day less than results,
// payloads and the records of jobs are kept, so that all outlive the wait.
const MaxAhead = 6 * 24 * time.Hour

// CheckNotBefore checks the time before which a job must not run, if it has one.
func CheckNotBefore(now, notBefore, deadline time.Time) error {
	switch {
	case notBefore.IsZero():
		return nil
	case notBefore.After(now.Add(MaxAhead)):
		return Invalid("not_before", "submit the job later", "%s is more than %s ahead", notBefore.Format(time.RFC3339), MaxAhead)
	case !deadline.IsZero() && !deadline.After(notBefore):
		return Invalid("deadline", "set it after not_before", "%s is not after not_before, %s", deadline.Format(time.RFC3339), notBefore.Format(time.RFC3339))
	}
	return nil
}

func (j *GenerateJob) validate() error {
	if len(j.Messages) == 0 {
		return Invalid("messages", `add at least one, such as {"role":"user","content":"..."}`, "empty")
	}
	for i, m := range j.Messages {
		field := fmt.Sprintf("messages[%d]", i)
		switch m.Role {
		case "system", "developer", "user", "assistant", "tool":
		default:
			return Invalid(field+".role", "use system, developer, user, assistant or tool", "unknown role %q", m.Role)
		}
		if m.Role == "tool" && m.ToolCallID == "" {
			return Invalid(field+".tool_call_id", "say which call it answers", "missing")
		}
		if strings.TrimSpace(m.Content) == "" && len(m.ToolCalls) == 0 && m.Role != "tool" {
			return Invalid(field+".content", "give it text or leave the message out", "empty")
		}
	}
	if j.Model != "" {
		if err := CheckName("model", j.Model); err != nil {
			return err
		}
	}
	if j.Task != "" {
		if err := CheckName("task", j.Task); err != nil {
			return err
		}
	}
	if j.MaxTokens < 0 {
		return Invalid("max_tokens", "use 1 or more, or leave it out", "got %d", j.MaxTokens)
	}
	if n := j.MaxAttempts; n < 0 || n > MaxAttempts {
		return Invalid("max_attempts", fmt.Sprintf("use 1 to %d, or leave it out", MaxAttempts), "got %d", n)
	}
	if n := j.MaxCostNanoUSD; n < 0 {
		return Invalid("max_cost_nano_usd", "use 1 or more, or leave it out", "got %d", n)
	}
	if t := j.Temperature; t != nil && (*t < 0 || *t > 2) {
		return Invalid("temperature", "use 0 to 2", "got %g", *t)
	}
	if err := j.Tooling.validate(); err != nil {
		return err
	}
	return j.RAG.Validate()
}

// Validate checks what retrieval is asked for; nil asks for nothing.
func (r *RAG) Validate() error {
	if r == nil {
		return nil
	}
	if r.TopK < 0 || r.TopK > MaxTopK {
		return Invalid("rag.top_k", fmt.Sprintf("use 1 to %d", MaxTopK), "got %d", r.TopK)
	}
	if a := r.Abstain; a != nil && (*a < 0 || *a > 1) {
		return Invalid("rag.abstain", "use 0 (never) to 1", "got %g", *a)
	}
	if err := checkNames("rag.readers", r.Readers); err != nil {
		return err
	}
	if err := checkMetadata("rag.filter", r.Filter); err != nil {
		return err
	}
	return CheckName("rag.collection", r.Collection)
}

// Bounds of a document's access list, metadata, source, title, URL and media type.
const (
	MaxField         = 8 << 10 // bytes; URLs of 8 kB are the longest that servers take
	maxACL           = 256
	maxMetadata      = 64
	maxMetadataBytes = 16 << 10
)

// checkNames checks the names of an access list or of a reader: "*" is reserved.
func checkNames(field string, names []string) error {
	if len(names) > maxACL {
		return Invalid(field, fmt.Sprintf("use at most %d names; groups keep lists short", maxACL), "has %d names", len(names))
	}
	for i, name := range names {
		if name == "" || name == "*" || len(name) > 256 || !utf8.ValidString(name) {
			return Invalid(fmt.Sprintf("%s[%d]", field, i), `use 1 to 256 bytes of UTF-8 that are not "*"`, "got %q", name)
		}
	}
	return nil
}

// checkMetadata bounds metadata, or a filter on it.
func checkMetadata(field string, m map[string]string) error {
	size := 0
	for k, v := range m {
		if k == "" || len(k) > 256 || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return Invalid(field, "use keys of 1 to 256 bytes, and UTF-8", "has the key %q", k)
		}
		size += len(k) + len(v)
	}
	if len(m) > maxMetadata || size > maxMetadataBytes {
		return Invalid(field, fmt.Sprintf("use at most %d keys and %d bytes", maxMetadata, maxMetadataBytes), "has %d keys and %d bytes", len(m), size)
	}
	return nil
}

// maxDocumentVersion is the first version that a float64, in which stores keep
// numbers, can't tell from the next.
const maxDocumentVersion = 1 << 53

func checkDocumentVersion(field string, v int64) error {
	if v < 0 || v >= maxDocumentVersion {
		return Invalid(field, "use 1 to 2^53-1, or leave it out", "got %d", v)
	}
	return nil
}

// MaxAttempts bounds the model calls a job may ask for.
const MaxAttempts = 50

// MaxTopK bounds the number of chunks a job may ask for.
const MaxTopK = 100

func (j *IngestJob) validate() error {
	if err := CheckName("collection", j.Collection); err != nil {
		return err
	}
	return j.Document.validate()
}

// validate checks a document and names one that has no id.
func (d *Document) validate() error {
	d.Source = cmp.Or(d.Source, d.URL)
	if d.ID == "" && d.Source != "" {
		d.ID = DocumentID(d.Source)
	}
	if err := CheckName("document.id", d.ID); err != nil {
		return err
	}
	contents := 0
	for _, set := range []bool{d.Text != "", len(d.Data) > 0, d.URL != ""} {
		if set {
			contents++
		}
	}
	switch {
	case contents == 0:
		return Invalid("document", "set document.text, document.data in base64, or document.url", "has no content")
	case contents > 1:
		return Invalid("document", "set one of document.text, document.data and document.url", "has more than one of text, data and url")
	}
	for _, f := range []struct{ name, text string }{{"url", d.URL}, {"source", d.Source}, {"title", d.Title}, {"media_type", d.MediaType}} {
		if n := len(f.text); n > MaxField {
			return Invalid("document."+f.name, fmt.Sprintf("use at most %d bytes: each chunk is stored with it", MaxField), "has %d bytes", n)
		}
	}
	if err := checkNames("document.acl", d.ACL); err != nil {
		return err
	}
	if err := checkMetadata("document.metadata", d.Metadata); err != nil {
		return err
	}
	return checkDocumentVersion("document.version", d.Version)
}

func checkVersion(v int) error {
	if v == Version {
		return nil
	}
	return &Error{Class: ClassUnsupported, Field: "v", Message: fmt.Sprintf("unknown version %d", v),
		Hint: fmt.Sprintf("this Weir reads version %d; upgrade it or send that", Version)}
}

func unmarshal(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	var typeErr *json.UnmarshalTypeError
	var syntaxErr *json.SyntaxError
	var base64Err base64.CorruptInputError
	switch {
	case errors.As(err, &typeErr) && typeErr.Field == "":
		return Invalid("body", "send one JSON object", "got a JSON %s", typeErr.Value)
	case errors.As(err, &typeErr):
		// The embedded structs are no part of the JSON path.
		field := strings.TrimPrefix(strings.TrimPrefix(typeErr.Field, "Envelope."), "Tooling.")
		return Invalid(field, "see docs/jobs.md for the fields", "got a JSON %s, want %s", typeErr.Value, typeErr.Type)
	case errors.As(err, &syntaxErr):
		line := 1 + bytes.Count(data[:min(int(syntaxErr.Offset), len(data))], []byte("\n"))
		return Invalid("body", "send one JSON object", "no JSON (line %d, byte %d): %v", line, syntaxErr.Offset, err)
	case errors.As(err, &base64Err):
		return Invalid("document.data", "encode it in standard base64 with padding", "%v", err)
	}
	// What is left comes from the times, which decode themselves.
	return Invalid("deadline", "write times as 2026-01-02T15:04:05Z", "no RFC 3339 time: %v", err)
}
