package event

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
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

func (e Envelope) version() int     { return e.V }
func (r Result) version() int       { return r.V }
func (l Life) version() int         { return l.V }
func (t Token) version() int        { return t.V }
func (r EmbedRequest) version() int { return r.V }
func (r EmbedReply) version() int   { return r.V }

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
	Receipt     Receipt   `json:"receipt"`
}

// Peek reads the head of any message, checking nothing else. It reports false
// when data is no JSON object; an unusable id comes back empty then as well.
func Peek(data []byte) (Head, bool) {
	var head Head
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return head, false // null would decode as well
	}
	if json.Unmarshal(data, &head) != nil {
		// One wrong field must not hide the job's id.
		head = Head{}
		var id struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(data, &id) != nil {
			return head, false
		}
		head.ID = id.ID
	}
	if head.ID != "" && CheckName("id", head.ID) != nil {
		return Head{}, false
	}
	return head, true
}

func decodeJob(subject string, data []byte, job any, env *Envelope) error {
	addr, err := ParseAddress(subject)
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
		return CheckName("id", e.ID)
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
		case "system", "user", "assistant":
		default:
			return Invalid(field+".role", "use system, user or assistant", "unknown role %q", m.Role)
		}
		if strings.TrimSpace(m.Content) == "" {
			return Invalid(field+".content", "give it text or leave the message out", "empty")
		}
	}
	if j.Model != "" {
		if err := CheckName("model", j.Model); err != nil {
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
	return j.RAG.validate()
}

func (r *RAG) validate() error {
	if r == nil {
		return nil
	}
	if r.TopK < 0 || r.TopK > MaxTopK {
		return Invalid("rag.top_k", fmt.Sprintf("use 1 to %d", MaxTopK), "got %d", r.TopK)
	}
	return CheckName("rag.collection", r.Collection)
}

// MaxAttempts bounds the model calls a job may ask for.
const MaxAttempts = 50

// MaxTopK bounds the number of chunks a job may ask for.
const MaxTopK = 100

func (j *IngestJob) validate() error {
	if err := CheckName("collection", j.Collection); err != nil {
		return err
	}
	if err := CheckName("document.id", j.Document.ID); err != nil {
		return err
	}
	if j.Document.Text == "" && len(j.Document.Data) == 0 {
		return Invalid("document", "set document.text, or document.data in base64", "has no content")
	}
	if j.Document.Text != "" && len(j.Document.Data) > 0 {
		return Invalid("document", "set document.text or document.data", "has both text and data")
	}
	return nil
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
		// The embedded envelope is no part of the JSON path.
		field := strings.TrimPrefix(typeErr.Field, "Envelope.")
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
