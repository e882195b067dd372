package dead

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
)

// MergePatch applies a JSON merge patch (RFC 7396) to a document.
func MergePatch(document, patch []byte) ([]byte, error) {
	p, err := decode(patch)
	if err != nil {
		return nil, event.Invalid("edit", "send a JSON merge patch, such as {\"max_tokens\":512}", "%v", err)
	}
	d, err := decode(document)
	if err != nil {
		return nil, event.Invalid("body", "a message that is no JSON can't be edited", "%v", err)
	}
	out, err := json.Marshal(merge(d, p))
	if err != nil {
		return nil, fmt.Errorf("encoding the edited message: %w", err)
	}
	return out, nil
}

// decode reads one JSON value, numbers as they are written.
func decode(data []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return value, nil
}

func merge(document, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	d, ok := document.(map[string]any)
	if !ok {
		d = map[string]any{}
	}
	for name, value := range p {
		if value == nil {
			delete(d, name)
			continue
		}
		d[name] = merge(d[name], value)
	}
	return d
}

// fixed reports whether a field is one by which a job is found, which an edit may not
// change, in whichever case: JSON is read without regard to it, and to that of Unicode.
func fixed(name string) bool {
	return slices.ContainsFunc([]string{"v", "id", "tenant", "lane", "kind", "submitted_at"}, func(f string) bool { return strings.EqualFold(f, name) })
}

// taskFields are those of a task for a model that an edit may change.
func taskFields() []string {
	return []string{"messages", "max_tokens", "temperature", "deadline", "max_attempts", "max_cost_nano_usd", "stream", "webhook", "metadata"}
}

// edited is the body of a message after an edit, checked as its stage does.
func edited(subject string, body, edit []byte) ([]byte, error) {
	patch := map[string]json.RawMessage{}
	if err := json.Unmarshal(edit, &patch); err != nil || patch == nil {
		return nil, event.Invalid("edit", `send a JSON merge patch, such as {"max_tokens":512}`, "no JSON object")
	}
	task := strings.HasPrefix(subject, stepPrefix+"generate.")
	for _, name := range slices.Sorted(maps.Keys(patch)) {
		switch {
		case fixed(name):
			return nil, event.Invalid("edit."+name, "leave it out, or submit a new job", "it can't be changed")
		case task && !slices.Contains(taskFields(), name):
			return nil, event.Invalid("edit."+name, "use "+strings.Join(taskFields(), ", ")+", or submit a new job",
				"it can't be changed once the job is planned")
		case !task && !strings.HasPrefix(subject, jobPrefix):
			return nil, event.Invalid("edit", "redrive it as it is, or submit a new job", "messages on %s can't be edited", subject)
		}
	}
	out, err := MergePatch(body, edit)
	if err != nil {
		return nil, err
	}
	if task {
		return out, checkTask(subject, out)
	}
	return out, checkJob(subject, out)
}

// checkJob checks a job as the stage that takes it does.
func checkJob(subject string, data []byte) (err error) {
	switch event.KindOf(subject) {
	case event.KindIngest:
		_, err = event.DecodeIngestJob(subject, data)
	case event.KindDelete:
		_, err = event.DecodeDeleteJob(subject, data)
	case event.KindVerify:
		_, err = event.DecodeVerifyJob(subject, data)
	case event.KindReindex:
		_, err = event.DecodeReindexJob(subject, data)
	case event.KindEmbed:
		_, err = event.DecodeEmbedJob(subject, data)
	case event.KindBatch:
		_, err = event.DecodeBatchJob(subject, data)
	default:
		_, err = event.DecodeGenerateJob(subject, data)
	}
	return err
}

// checkTask checks those fields of a task that an edit may have changed, as they are
// checked in a job.
func checkTask(subject string, data []byte) error {
	task, err := event.Decode[event.GenerateTask](data)
	if err != nil {
		return err
	}
	job, err := json.Marshal(event.GenerateJob{Envelope: event.Envelope{V: task.V, Webhook: task.Webhook, Metadata: task.Metadata}, Messages: task.Messages,
		MaxTokens: task.MaxTokens, Temperature: task.Temperature, MaxAttempts: task.MaxAttempts, MaxCostNanoUSD: task.MaxCostNanoUSD})
	if err != nil {
		return fmt.Errorf("encoding the edited task: %w", err)
	}
	parts := strings.Split(subject, ".") // weir.steps.generate.<model>.<lane>.<tenant>
	if len(parts) != 6 {
		return event.Invalid("subject", "redrive it as it is", "%q is none of a task", subject)
	}
	_, err = event.DecodeGenerateJob(event.Address{Kind: event.KindGenerate, Lane: event.Lane(parts[4]), Tenant: parts[5]}.Subject(), job)
	return err
}
