package ledger

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// Line is one call that was, or may have been, paid.
type Line struct {
	V      int    `json:"v"`
	Tenant string `json:"tenant"`
	Job    string `json:"job"`
	Step   string `json:"step"`
	Epoch  int64  `json:"epoch"` // the delivery that made the call
	Call   int    `json:"call"`  // its number within the epoch, from 1
	// Model is the catalog's name of the model, Catalog the revision that priced it.
	Model    string    `json:"model"`
	Provider string    `json:"provider"`
	Catalog  string    `json:"catalog,omitempty"`
	At       time.Time `json:"at"` // when the intent was written
	Usage    llm.Usage `json:"usage"`
	// CostNanoUSD is the price, or the estimate of a call that may be billed.
	CostNanoUSD int64 `json:"cost_nano_usd"`
	// MaybeBilled: the call was sent and nobody knows its outcome.
	MaybeBilled bool `json:"maybe_billed,omitempty"`
	// Again: an earlier call was paid, but its answer was too large to keep.
	Again bool `json:"again,omitempty"`
	// Error is the class of a failed call.
	Error event.Class `json:"error,omitempty"`
	// Answer is what a successful call gave.
	Answer     *Answer `json:"answer,omitempty"`
	TTFTMS     float64 `json:"ttft_ms,omitempty"`
	DurationMS float64 `json:"duration_ms,omitempty"`
}

// Answer is what a redelivered step takes instead of calling again.
type Answer struct {
	Text         string `json:"text"`
	FinishReason string `json:"finish_reason,omitempty"`
	// ToolCalls as in llm.ChatResponse.
	ToolCalls []event.ToolCall `json:"tool_calls,omitempty"`
	// Model is the model that answered, as the provider names it.
	Model       string `json:"model,omitempty"`
	ServiceTier string `json:"service_tier,omitempty"`
	// Logprobs sums up the log probabilities, nil where none came.
	Logprobs *llm.Logprobs `json:"logprobs,omitempty"`
	// Dropped: text and calls had more than MaxAnswer bytes and was not kept.
	Dropped bool `json:"dropped,omitempty"`
}

func (a *Answer) size() int {
	n := len(a.Text)
	for _, c := range a.ToolCalls {
		n += len(c.Function.Name) + len(c.Function.Arguments)
	}
	return n
}

// MaxAnswer is the size in bytes up to which an answer is kept with its line.
// It is far above what a model gives, so that what costs most is reused.
const MaxAnswer = 4 << 20

// HeaderLine holds, as JSON, what a total needs of a line, so that lines can be
// counted without their bodies.
const HeaderLine = "Weir-Line"

// sums is what a total needs of a line; the names are in the subject.
type sums struct {
	Model      string      `json:"model"`
	Provider   string      `json:"provider"`
	Cost       int64       `json:"cost_nano_usd"`
	Prompt     int64       `json:"prompt"`
	Cached     int64       `json:"cached,omitempty"`
	Completion int64       `json:"completion"`
	Maybe      bool        `json:"maybe,omitempty"`
	Error      event.Class `json:"error,omitempty"`
}

func (line Line) sums() sums {
	return sums{
		Model: line.Model, Provider: line.Provider, Cost: line.CostNanoUSD,
		Prompt: int64(line.Usage.PromptTokens), Cached: int64(line.Usage.CachedTokens), Completion: int64(line.Usage.CompletionTokens),
		Maybe: line.MaybeBilled, Error: line.Error,
	}
}

// check names what is wrong with a line.
func (line Line) check() error {
	in := Intent{Tenant: line.Tenant, Job: line.Job, Step: line.Step, Model: line.Model, Epoch: line.Epoch, Worker: "any"}
	if err := in.check(); err != nil {
		return err
	}
	if line.Call < 1 {
		return event.Invalid("call", "number calls from 1", "%d", line.Call)
	}
	s := line.sums()
	return s.check()
}

func (s sums) check() error {
	if err := event.CheckName("model", s.Model); err != nil {
		return err
	}
	for _, f := range []struct {
		field string
		n     int64
	}{{"cost_nano_usd", s.Cost}, {"usage.prompt_tokens", s.Prompt}, {"usage.cached_tokens", s.Cached}, {"usage.completion_tokens", s.Completion}} {
		if err := notNegative(f.field, f.n); err != nil {
			return err
		}
	}
	return nil
}

// paid reports whether the call is known to be paid.
func (line Line) paid() bool { return line.Error == "" && !line.MaybeBilled }

// reusable reports whether a later delivery can take the line's answer.
func (line Line) reusable() bool { return line.paid() && line.Answer != nil && !line.Answer.Dropped }

// LineOut is the message that stores a line. A step hands it to the stage
// runner before its result: what the runner stores before the ack, in order,
// can't leave a result without its line. Like a result it has no dedupe id; the
// stream takes one message per subject.
func LineOut(line Line) (bus.Out, error) {
	line.V = event.Version
	if err := line.check(); err != nil {
		return bus.Out{}, err
	}
	if line.Answer != nil && line.Answer.size() > MaxAnswer {
		answer := *line.Answer
		answer.Text, answer.ToolCalls, answer.Dropped = "", nil, true
		line.Answer = &answer
	}
	data, err := json.Marshal(line)
	if err != nil {
		return bus.Out{}, fmt.Errorf("encoding a line of job %s: %w", line.Job, err)
	}
	head, err := json.Marshal(line.sums())
	if err != nil {
		return bus.Out{}, fmt.Errorf("encoding a line of job %s: %w", line.Job, err)
	}
	return bus.Out{
		Subject: event.LedgerSubject(line.Tenant, line.Job, line.Step, line.Epoch, line.Call),
		Data:    data, Header: nats.Header{HeaderLine: {string(head)}},
	}, nil
}

// head is a stored line without its body.
type head struct {
	sums
	tenant, job, step string
	epoch             int64
	call              int
	sequence          uint64
	stored            time.Time
}

// readHead reads a line's subject and header.
func readHead(subject string, header nats.Header) (head, error) {
	var h head
	parts := strings.Split(subject, ".")
	if len(parts) != 6 || !event.IsLedgerSubject(subject) {
		return h, event.Invalid("subject", "lines are written by this package", "%q is no line's", subject)
	}
	h.tenant, h.job, h.step = parts[2], parts[3], parts[4]
	epoch, call, _ := strings.Cut(parts[5], "-")
	var err error
	if h.epoch, err = strconv.ParseInt(epoch, 10, 64); err == nil {
		h.call, err = strconv.Atoi(call)
	}
	if err == nil {
		err = json.Unmarshal([]byte(header.Get(HeaderLine)), &h.sums)
	}
	if err == nil {
		err = h.check()
	}
	if err == nil {
		err = event.CheckName("tenant", h.tenant)
	}
	if err != nil {
		return h, fmt.Errorf("reading line %s: %w", subject, err)
	}
	return h, nil
}

// decodeLine reads a line; without a body (its payload is gone) it is what the
// subject and the header say.
func decodeLine(msg *bus.Message) (*Line, error) {
	var line Line
	if err := json.Unmarshal(msg.Data, &line); err == nil {
		return &line, nil
	} else if len(msg.Data) > 0 {
		return nil, fmt.Errorf("decoding line %s: %w", msg.Subject, err)
	}
	h, err := readHead(msg.Subject, msg.Header)
	if err != nil {
		return nil, err
	}
	return &Line{
		V: event.Version, Tenant: h.tenant, Job: h.job, Step: h.step, Epoch: h.epoch, Call: h.call,
		Model: h.Model, Provider: h.Provider, CostNanoUSD: h.Cost, MaybeBilled: h.Maybe, Error: h.Error,
		Usage: llm.Usage{PromptTokens: int(h.Prompt), CachedTokens: int(h.Cached), CompletionTokens: int(h.Completion)},
	}, nil
}

// decodeIntent reads the value of a key.
func decodeIntent(key string, data []byte) (Intent, error) {
	var in Intent
	if err := json.Unmarshal(data, &in); err != nil {
		return in, fmt.Errorf("decoding intent %s: %w", key, err)
	}
	parts := strings.Split(key, ".")
	if len(parts) != 3 {
		return in, event.Invalid("key", "intents are written by this package", "%q is no intent's", key)
	}
	in.Tenant, in.Job, in.Step = parts[0], parts[1], parts[2]
	return in, nil
}
