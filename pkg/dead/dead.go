// Package dead is the dead letters as data: what was given up and why, in groups of
// one cause, and the way back into the pipeline. A letter stays when it is redriven;
// what became of it is recorded beside it.
package dead

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// Box is the dead letters of a Weir. It is safe for concurrent use.
type Box struct {
	bus *bus.Bus
	now func() time.Time
}

// New returns the dead letters behind b. It does no I/O.
func New(b *bus.Bus, now func() time.Time) *Box { return &Box{bus: b, now: now} }

// ErrNone says that the tenant has no such letter.
var ErrNone = errors.New("no such dead letter")

// Letter is a message that was given up.
type Letter struct {
	Seq    uint64 `json:"seq"` // its place in the stream, and its name
	Stage  string `json:"stage"`
	Tenant string `json:"tenant"`
	// Subject is where the message was published.
	Subject string      `json:"subject"`
	Class   event.Class `json:"class"`
	Error   string      `json:"error"`
	// Group is that of letters with the same stage, class and cause.
	Group string `json:"group"`
	// Job is the job that failed; "" when it is not known, or no job is to be run again.
	Job        string    `json:"job,omitempty"`
	Deliveries int       `json:"deliveries"`
	At         time.Time `json:"at"`
	// CostNanoUSD is what the job had cost by then.
	CostNanoUSD int64 `json:"cost_nano_usd"`
	// RedriveOf is the letter that was redriven and came to this.
	RedriveOf uint64 `json:"redrive_of,omitempty"`
	// Redriven says how often and when it was redriven; nil if it was not.
	Redriven *Record `json:"redriven,omitempty"`
}

// Detail is a letter with what it holds.
type Detail struct {
	Letter
	Headers map[string][]string `json:"headers"`
	// Body is the message, of at most MaxBody bytes; Text when it is no JSON. Missing
	// says why there is none.
	Body    json.RawMessage `json:"body,omitempty"`
	Text    string          `json:"text,omitempty"`
	Missing string          `json:"missing,omitempty"`
	Bytes   int             `json:"bytes"`
	// Result is the job's result as it is now.
	Result json.RawMessage `json:"result,omitempty"`
}

// MaxBody bounds what Get shows of a body or result.
const MaxBody = 1 << 20

// Filter chooses letters. The zero value of a field is any.
type Filter struct {
	Tenant string
	Stage  string
	Class  event.Class
	Group  string
}

// check names what can't be a filter.
func (f Filter) check() error {
	for field, name := range map[string]string{"tenant": f.Tenant, "stage": f.Stage} {
		if name == "" {
			continue
		}
		if err := event.CheckName(field, name); err != nil {
			return err
		}
	}
	return nil
}

func (f Filter) subject() string {
	stage, tenant := f.Stage, f.Tenant
	if stage == "" {
		stage = "*"
	}
	if tenant == "" {
		tenant = "*"
	}
	return "weir.dead." + stage + "." + tenant
}

func (f Filter) has(l *Letter) bool {
	return (f.Class == "" || f.Class == l.Class) && (f.Group == "" || f.Group == l.Group)
}

// Bounds of a list, and of the reading for it.
const (
	MaxList     = 1000
	defaultList = 100
	// maxScan bounds the letters read for one call.
	maxScan   = 20_000
	scanPage  = 256
	scanBytes = 8 << 20
)

// List returns up to limit letters (0 is 100), the oldest first, from a cursor on (""
// is the oldest), and the cursor of the next ones, "" at the end.
func (b *Box) List(ctx context.Context, f Filter, cursor string, limit int) ([]Letter, string, error) {
	from, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	if limit < 0 || limit > MaxList {
		return nil, "", event.Invalid("limit", fmt.Sprintf("use 1 to %d", MaxList), "got %d", limit)
	}
	if limit == 0 {
		limit = defaultList
	}
	var found []Letter
	next, err := b.scan(ctx, f, from, func(l Letter) bool {
		found = append(found, l)
		return len(found) < limit
	})
	if err != nil {
		return nil, "", err
	}
	for i := range found {
		if found[i].Redriven, err = b.record(ctx, &found[i]); err != nil {
			return nil, "", err
		}
	}
	if next == 0 {
		return found, "", nil
	}
	return found, strconv.FormatUint(next, 10), nil
}

func parseCursor(cursor string) (uint64, error) {
	if cursor == "" {
		return 1, nil
	}
	from, err := strconv.ParseUint(cursor, 10, 64)
	if err != nil || from == 0 {
		return 0, event.Invalid("cursor", "use the cursor of the page before", "got %q", cursor)
	}
	return from, nil
}

// scan calls do with the letters of a filter from a sequence on, until it returns
// false or enough were read. next is where to go on, 0 at the end.
func (b *Box) scan(ctx context.Context, f Filter, from uint64, do func(Letter) bool) (next uint64, err error) {
	if err := f.check(); err != nil {
		return 0, err
	}
	page := bus.Page{Stream: bus.StreamDead, Subject: f.subject(), From: from, Limit: scanPage, MaxBytes: scanBytes}
	for read := 0; read < maxScan; {
		msgs, err := b.bus.Page(ctx, page)
		if err != nil {
			return 0, err
		}
		if len(msgs) == 0 {
			return 0, nil
		}
		for _, msg := range msgs {
			if l := letter(msg); f.has(&l) && !do(l) {
				return msg.Sequence + 1, nil
			}
		}
		read += len(msgs)
		page.From = msgs[len(msgs)-1].Sequence + 1
	}
	return page.From, nil
}

// letter reads a stored dead letter.
func letter(msg *bus.Message) Letter {
	parts := strings.Split(msg.Subject, ".") // weir.dead.<stage>.<tenant>
	l := Letter{Seq: msg.Sequence, At: msg.Stored, Tenant: parts[len(parts)-1], Subject: msg.Header.Get(stage.HeaderSubject),
		Class: event.Class(msg.Header.Get(stage.HeaderErrorClass)), Error: plain(msg.Header.Get(stage.HeaderError)), Job: msg.Header.Get(stage.HeaderJob)}
	l.Stage = strings.TrimSuffix(strings.TrimPrefix(msg.Subject, "weir.dead."), "."+l.Tenant)
	l.Deliveries, _ = strconv.Atoi(msg.Header.Get(stage.HeaderDeliveries))
	l.RedriveOf, _ = strconv.ParseUint(msg.Header.Get(HeaderRedrive), 10, 64)
	l.CostNanoUSD, _ = strconv.ParseInt(msg.Header.Get(stage.HeaderCost), 10, 64)
	l.Group = groupID(&l)
	return l
}

// plain undoes the quoting that keeps an error on one line of a header. One that was
// cut off may end within an escape.
func plain(text string) string {
	for cut := 0; cut < 12 && cut <= len(text); cut++ {
		if s, err := strconv.Unquote(`"` + text[:len(text)-cut] + `"`); err == nil {
			return strings.ToValidUTF8(s, "?")
		}
	}
	return strings.ToValidUTF8(text, "?")
}

// Get returns a letter of a tenant ("" is any's), or ErrNone.
func (b *Box) Get(ctx context.Context, tenant string, seq uint64) (Detail, error) {
	msg, err := b.load(ctx, tenant, seq)
	if err != nil {
		return Detail{}, err
	}
	d := Detail{Letter: letter(msg), Headers: original(msg.Header)}
	if d.Redriven, err = b.record(ctx, &d.Letter); err != nil {
		return d, err
	}
	if err := b.bus.Resolve(ctx, msg); err != nil {
		if event.AsError(err).Class == event.ClassUnavailable {
			return d, err
		}
		d.Missing = err.Error()
	}
	d.show(msg.Data)
	if d.job() {
		result, err := b.bus.Last(ctx, bus.StreamResults, event.ResultSubject(d.Tenant, d.Job))
		if err != nil {
			return d, err
		}
		if result != nil && len(result.Data) <= MaxBody && json.Valid(result.Data) {
			d.Result = result.Data
		}
	}
	return d, nil
}

// show takes the body as far as it can be shown.
func (d *Detail) show(data []byte) {
	d.Bytes = len(data)
	switch {
	case len(data) > MaxBody:
		d.Missing = fmt.Sprintf("it has more than %d bytes", MaxBody)
	case json.Valid(data):
		d.Body = data
	case utf8.Valid(data):
		d.Text = string(data)
	default:
		d.Text = strconv.Quote(string(data))
	}
}

// job reports whether the letter is of a job that is to be run again.
func (l *Letter) job() bool {
	return (strings.HasPrefix(l.Subject, jobPrefix) || strings.HasPrefix(l.Subject, stepPrefix)) &&
		event.CheckName("job", l.Job) == nil && event.CheckName("tenant", l.Tenant) == nil
}

const (
	jobPrefix  = "weir.jobs."
	stepPrefix = "weir.steps."
	duePrefix  = "weir.due."
)

// load reads a letter of a tenant, "" is any's.
func (b *Box) load(ctx context.Context, tenant string, seq uint64) (*bus.Message, error) {
	if tenant != "" {
		if err := event.CheckName("tenant", tenant); err != nil {
			return nil, err
		}
	}
	stream, err := b.bus.JetStream().Stream(ctx, bus.StreamDead)
	if err != nil {
		return nil, event.Errorf(event.ClassUnavailable, "opening %s: %w", bus.StreamDead, err)
	}
	raw, err := stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && tenant != "" && event.TenantOf(raw.Subject) != tenant {
		return nil, fmt.Errorf("%d: %w", seq, ErrNone)
	}
	if err != nil {
		return nil, event.Errorf(event.ClassUnavailable, "reading dead letter %d: %w", seq, err)
	}
	return &bus.Message{Subject: raw.Subject, Header: raw.Header, Data: raw.Data, Stream: bus.StreamDead, Sequence: raw.Sequence, Stored: raw.Time}, nil
}
