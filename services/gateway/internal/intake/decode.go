package intake

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
)

// head is what tells where a job goes.
type head struct {
	V    *int       `json:"v"`
	ID   string     `json:"id"`
	Kind event.Kind `json:"kind"`
	Lane event.Lane `json:"lane"`
}

// decode checks a job as the pipeline will, and fills its record.
func (i *Intake) decode(tenant string, job Job) (Checked, error) {
	fields, h, err := readHead(job.Body)
	if err != nil {
		return Checked{}, err
	}
	c := Checked{Chosen: job.ID != "" || h.ID != ""}
	if job.Kind != "" && h.Kind != "" && job.Kind != h.Kind {
		return c, event.Invalid("kind", "leave it out", "got %q, this takes %q", h.Kind, job.Kind)
	}
	c.Address = event.Address{Kind: cmp.Or(job.Kind, h.Kind, event.KindGenerate), Lane: cmp.Or(job.Lane, h.Lane, event.LaneInteractive), Tenant: tenant}
	if err := c.Address.Validate(); err != nil {
		return c, err
	}
	now := i.cfg.Now()
	if c.ID, err = chooseID(job.ID, h.ID); err != nil {
		return c, err
	}
	if c.Body, err = body(fields, c.ID, h.V); err != nil {
		return c, err
	}
	sum := sha256.Sum256(c.Body)
	if !c.Chosen {
		c.ID = event.NewID(now)
		if c.Body, err = body(fields, c.ID, h.V); err != nil {
			return c, err
		}
	}
	c.Record = event.Submission{V: event.Version, Kind: c.Address.Kind, Lane: c.Address.Lane, Hash: fmt.Sprintf("%s.%x", c.Address.Kind, sum),
		At: now.UTC(), Batch: job.Batch}
	if err := describe(&c); err != nil {
		return c, err
	}
	if job.Strict {
		return c, strict(c.Address.Kind, c.Body)
	}
	return c, nil
}

// readHead reads the fields of a job and what tells where it goes.
func readHead(data []byte) (map[string]json.RawMessage, head, error) {
	var h head
	var fields map[string]json.RawMessage
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return nil, h, event.Invalid("body", "send one JSON object", "no JSON object")
	}
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, h, event.Invalid("body", "send one JSON object", "no JSON: %v", err)
	}
	if err := json.Unmarshal(data, &h); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return nil, h, event.Invalid(wrong.Field, "see docs/jobs.md for the fields", "got a JSON %s, want %s", wrong.Value, wrong.Type)
		}
		return nil, h, event.Invalid("body", "send one JSON object", "no JSON: %v", err)
	}
	return fields, h, nil
}

// chooseID is the id that the caller chose, "" when it chose none.
func chooseID(key, own string) (string, error) {
	if own != "" {
		if err := event.CheckName("id", own); err != nil {
			return "", err
		}
	}
	if key == "" {
		return own, nil
	}
	if own != "" && own != key {
		return "", event.Invalid("Idempotency-Key", "send the key or the job's id, or both alike", "the job's id is %q", own)
	}
	if event.CheckName("id", key) == nil {
		return key, nil
	}
	return fmt.Sprintf("key-%x", sha256.Sum256([]byte(key)))[:len("key-")+40], nil
}

// body is the job as it is published: with its id and version, without its kind,
// which is the address's. Equal jobs have equal bodies.
func body(fields map[string]json.RawMessage, id string, version *int) (json.RawMessage, error) {
	out := make(map[string]json.RawMessage, len(fields)+2)
	for name, value := range fields {
		if !strings.EqualFold(name, "id") && !strings.EqualFold(name, "kind") && !strings.EqualFold(name, "v") {
			out[name] = value
		}
	}
	quoted, err := json.Marshal(id)
	if err != nil {
		return nil, fmt.Errorf("encoding the job's id: %w", err)
	}
	v := event.Version
	if version != nil {
		v = *version
	}
	out["id"], out["v"] = quoted, json.RawMessage(fmt.Sprint(v))
	data, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encoding the job: %w", err)
	}
	return data, nil
}

// describe decodes the job, and notes in its record what lists and checks need.
func describe(c *Checked) error {
	subject, r := c.Address.Subject(), &c.Record
	var env event.Envelope
	var err error
	switch c.Address.Kind {
	case event.KindGenerate:
		var j event.GenerateJob
		j, err = event.DecodeGenerateJob(subject, c.Body)
		env, r.Model, r.Task = j.Envelope, j.Model, j.Task
		if j.RAG != nil {
			r.Collection = j.RAG.Collection
		}
	case event.KindIngest:
		var j event.IngestJob
		j, err = event.DecodeIngestJob(subject, c.Body)
		env, r.Collection = j.Envelope, j.Collection
	case event.KindDelete:
		var j event.DeleteJob
		j, err = event.DecodeDeleteJob(subject, c.Body)
		env, r.Collection = j.Envelope, j.Collection
	case event.KindVerify:
		var j event.VerifyJob
		j, err = event.DecodeVerifyJob(subject, c.Body)
		env, r.Collection = j.Envelope, j.Collection
	case event.KindReindex:
		var j event.ReindexJob
		j, err = event.DecodeReindexJob(subject, c.Body)
		env, r.Collection = j.Envelope, j.Collection
	case event.KindEmbed:
		var j event.EmbedJob
		j, err = event.DecodeEmbedJob(subject, c.Body)
		env, r.Model = j.Envelope, j.Model
	case event.KindBatch:
		var j event.BatchJob
		j, err = event.DecodeBatchJob(subject, c.Body)
		env = j.Envelope
	}
	r.NotBefore, r.Deadline, r.Webhook, r.Metadata = env.NotBefore, env.Deadline, env.Webhook, env.Metadata
	return err
}

// strict refuses fields that no job of the kind has.
func strict(kind event.Kind, data []byte) error {
	into := map[event.Kind]any{
		event.KindGenerate: &event.GenerateJob{}, event.KindIngest: &event.IngestJob{}, event.KindDelete: &event.DeleteJob{},
		event.KindVerify: &event.VerifyJob{}, event.KindReindex: &event.ReindexJob{}, event.KindEmbed: &event.EmbedJob{},
		event.KindBatch: &event.BatchJob{},
	}[kind]
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		return nil
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return event.Invalid(strings.Trim(name, `"`), "leave it out, or don't ask for strict handling", "no %s job has this field", kind)
	}
	return event.Invalid("body", "see docs/jobs.md for the fields", "%v", err)
}
