package openai

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// options are what any request asks of Weir, in its field weir (extra_body of the
// OpenAI clients).
type options struct {
	ID                 string            `json:"id"`
	Lane               event.Lane        `json:"lane"`
	Deadline           time.Time         `json:"deadline"`
	TimeoutMS          int64             `json:"timeout_ms"`
	Webhook            string            `json:"webhook"`
	Metadata           map[string]string `json:"metadata"`
	CancelOnDisconnect bool              `json:"cancel_on_disconnect"`
}

// maxTimeout bounds timeout_ms, so that it is a duration.
const maxTimeout = 366 * 24 * time.Hour

// decodeOptions reads the field into into, of which common is a part. An option that
// there is not is refused, for it would be missed.
func decodeOptions(raw json.RawMessage, into any, common *options) error {
	if null(raw) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return event.Invalid("weir", "see docs/openai.md for its fields", "%v", err)
	}
	if common.TimeoutMS < 0 || common.TimeoutMS > maxTimeout.Milliseconds() {
		return event.Invalid("weir.timeout_ms", "use 1 or more, up to a year, or leave it out", "got %d", common.TimeoutMS)
	}
	if common.TimeoutMS > 0 && !common.Deadline.IsZero() {
		return event.Invalid("weir.timeout_ms", "use one of timeout_ms and deadline", "has both")
	}
	return nil
}

// timeout is the job's deadline, from when it is submitted; 0 is none.
func (o *options) timeout() time.Duration { return time.Duration(o.TimeoutMS) * time.Millisecond }
