package dead

import (
	"context"
	"errors"

	"github.com/weir-dev/weir/pkg/event"
)

// Selection chooses letters to redrive: those of the filter that were not redriven
// yet.
type Selection struct {
	Filter
	// Sample is how many of them, spread evenly over time; 0 is all.
	Sample int
	// DryRun only counts.
	DryRun bool
	Options
}

// Report says what a selection came to.
type Report struct {
	// Matched is how many letters there are that were not redriven before, Chosen how
	// many of them were to be redriven now, at most MaxMany.
	Matched int `json:"matched"`
	Chosen  int `json:"chosen"`
	// CostNanoUSD is about what the chosen ones cost, see Group.
	CostNanoUSD int64 `json:"cost_nano_usd"`
	CostKnown   int   `json:"cost_known"`
	Redriven    int   `json:"redriven"`
	// Refused are those that could not be redriven.
	Refused int       `json:"refused"`
	Letters []Outcome `json:"letters,omitempty"`
}

// Outcome is what came of one letter.
type Outcome struct {
	Seq      uint64       `json:"seq"`
	Job      string       `json:"job,omitempty"`
	Redriven bool         `json:"redriven"`
	Error    *event.Error `json:"error,omitempty"`
}

// MaxMany bounds the letters that one call redrives: ask again for the rest.
const MaxMany = 1000

// Many redrives the letters of a selection, the oldest first. It goes on over those
// that can't be redriven, and stops when the server is out of reach.
func (b *Box) Many(ctx context.Context, s Selection) (Report, error) {
	if s.Sample < 0 || s.Sample > MaxMany {
		return Report{}, event.Invalid("sample", "use 1 to 1000, or leave it out for all", "got %d", s.Sample)
	}
	letters, err := b.fresh(ctx, s.Filter)
	if err != nil {
		return Report{}, err
	}
	report := Report{Matched: len(letters)}
	letters = sample(letters, s.Sample)
	report.Chosen = len(letters)
	report.expect(letters)
	if s.DryRun {
		return report, nil
	}
	for i := range letters {
		l := &letters[i]
		_, err := b.Redrive(ctx, l.Tenant, l.Seq, s.Options)
		if err != nil && (event.AsError(err).Class == event.ClassUnavailable || ctx.Err() != nil) {
			return report, err
		}
		report.add(l, err)
	}
	return report, nil
}

// fresh are the letters that were not redriven yet.
func (b *Box) fresh(ctx context.Context, f Filter) (letters []Letter, err error) {
	redriven, err := b.redriven(ctx)
	if err != nil {
		return nil, err
	}
	for from := uint64(1); from != 0; {
		from, err = b.scan(ctx, f, from, func(l Letter) bool {
			if _, ok := redriven[recordKey(&l)]; !ok {
				letters = append(letters, l)
			}
			return len(letters) < maxScan
		})
		if err != nil {
			return nil, err
		}
		if len(letters) >= maxScan {
			break
		}
	}
	return letters, nil
}

// sample takes n letters, spread evenly; 0 is as many as one call redrives.
func sample(letters []Letter, n int) []Letter {
	if n == 0 {
		return letters[:min(len(letters), MaxMany)]
	}
	if n >= len(letters) {
		return letters
	}
	out := make([]Letter, n)
	for i := range out {
		out[i] = letters[i*len(letters)/n]
	}
	return out
}

// expect adds up what letters cost.
func (r *Report) expect(letters []Letter) {
	for i := range letters {
		if cost := letters[i].CostNanoUSD; cost > 0 {
			r.CostKnown++
			r.CostNanoUSD += cost
		}
	}
	if r.CostKnown > 0 {
		r.CostNanoUSD += int64(len(letters)-r.CostKnown) * (r.CostNanoUSD / int64(r.CostKnown))
	}
}

func (r *Report) add(l *Letter, err error) {
	o := Outcome{Seq: l.Seq, Job: l.Job, Redriven: err == nil}
	if err == nil {
		r.Redriven++
	} else {
		r.Refused++
		o.Error = refusal(err)
	}
	r.Letters = append(r.Letters, o)
}

// refusal is why a letter was not redriven.
func refusal(err error) *event.Error {
	for _, known := range []error{ErrNone, ErrRunning, ErrEnded} {
		if errors.Is(err, known) {
			return &event.Error{Class: event.ClassInvalid, Message: known.Error()}
		}
	}
	return event.AsError(err)
}
