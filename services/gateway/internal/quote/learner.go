package quote

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/why"
)

const (
	// maxClasses bounds the classes kept: those that were used least recently go.
	maxClasses = 2000
	// replayed is how many of the latest stored results are learned from at start,
	// in pages of pageResults and pageBytes.
	replayed    = 5000
	pageResults = 500
	pageBytes   = 8 << 20
	// maxPending and maxPendingBytes bound the results that wait to be learned from;
	// what is over is not learned from.
	maxPending      = 4096
	maxPendingBytes = 32 << 20
	// rateWindow is the time over which finished tasks are counted.
	rateWindow = 30
)

// Learner learns from the results of all jobs what jobs take. It is safe for
// concurrent use.
type Learner struct {
	bus   *bus.Bus
	log   *slog.Logger
	now   func() time.Time
	ready chan struct{}

	mu      sync.Mutex
	classes map[string]*reservoir
	models  map[string]*pace
	count   uint64
}

// NewLearner returns a learner that knows nothing. It does no I/O.
func NewLearner(b *bus.Bus, log *slog.Logger, now func() time.Time) *Learner {
	return &Learner{bus: b, log: log, now: now, ready: make(chan struct{}), classes: map[string]*reservoir{}, models: map[string]*pace{}}
}

// Ready is closed when the learner hears of results; what is stored it reads meanwhile.
func (l *Learner) Ready() <-chan struct{} { return l.ready }

// Run learns until ctx ends.
func (l *Learner) Run(ctx context.Context) error {
	sub, err := l.bus.Conn().Subscribe("weir.results.*.*", l.hear)
	if err != nil {
		return event.Errorf(event.ClassUnavailable, "listening for results: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection may be gone
	if err := sub.SetPendingLimits(maxPending, maxPendingBytes); err != nil {
		return event.Errorf(event.ClassInternal, "bounding the results that wait: %w", err)
	}
	close(l.ready)
	from := uint64(0)
	lifecycle.Retry(ctx, l.log, "the latest results", func(ctx context.Context) (err error) { //nolint:errcheck // without them it learns from what comes
		from, err = l.replay(ctx, from)
		return err
	})
	<-ctx.Done()
	return nil
}

// hear learns from a result that was just stored.
func (l *Learner) hear(msg *nats.Msg) {
	var r event.Result
	if json.Unmarshal(msg.Data, &r) == nil { // one that is stored apart has no body here
		l.Learn(&r)
	}
}

// replay learns from results that were stored before, from a sequence on (0 is the
// start of the latest), and returns where to go on after an error.
func (l *Learner) replay(ctx context.Context, from uint64) (uint64, error) {
	stream, err := l.bus.JetStream().Stream(ctx, bus.StreamResults)
	if err != nil {
		return from, event.Errorf(event.ClassUnavailable, "opening %s: %w", bus.StreamResults, err)
	}
	last := stream.CachedInfo().State.LastSeq
	if from == 0 {
		from = last - min(last, replayed) + 1
	}
	for from <= last {
		messages, err := l.bus.Page(ctx, bus.Page{Stream: bus.StreamResults, Subject: "weir.results.*.*", From: from, Limit: pageResults, MaxBytes: pageBytes})
		if err != nil || len(messages) == 0 {
			return from, err
		}
		for _, m := range messages {
			var r event.Result
			if json.Unmarshal(m.Data, &r) == nil && m.Sequence <= last {
				l.Learn(&r)
			}
		}
		from = messages[len(messages)-1].Sequence + 1
	}
	return from, nil
}

// Learn learns from a result. Jobs that ended before a model was asked teach nothing.
func (l *Learner) Learn(r *event.Result) {
	asked := askedOf(r)
	if asked == nil {
		return
	}
	s := &sample{own: asked.PromptTokens, prompt: r.Receipt.PromptTokens, completion: r.Receipt.CompletionTokens,
		cost: r.Receipt.CostNanoUSD, workMS: r.Receipt.RetrievingMS + r.Receipt.GeneratingMS}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range r.Receipt.Attempts {
		if a.For == "" && a.Error == "" {
			l.pace(a.Model).add(r.FinishedAt, &a)
		}
	}
	for _, class := range append(classes(r.Tenant, *asked), global) {
		l.reservoir(class).add(s)
	}
}

// askedOf is what a result's job asked for, nil when it does not teach what one takes.
func askedOf(r *event.Result) *event.Asked {
	known := r.Receipt.Calls() > 0 || r.Receipt.Cache != nil || r.Answer != nil
	if r.Kind != event.KindGenerate || r.Receipt.Asked == nil || !known {
		return nil
	}
	return r.Receipt.Asked
}

// reservoir is that of a class; it makes room for a new one.
func (l *Learner) reservoir(class string) *reservoir {
	l.count++
	r, ok := l.classes[class]
	if !ok {
		if len(l.classes) >= maxClasses {
			l.forget()
		}
		r = &reservoir{}
		l.classes[class] = r
	}
	r.used = l.count
	return r
}

// forget drops a tenth of the classes, those that were used least recently.
func (l *Learner) forget() {
	names := make([]string, 0, len(l.classes))
	for name := range l.classes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(l.classes[a].used, l.classes[b].used) })
	for _, name := range names[:len(names)/10] {
		delete(l.classes, name)
	}
}

// like are samples of jobs like one, with the name of their class; none when there are
// not enough.
func (l *Learner) like(tenant string, a event.Asked) (samples []*sample, class string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, class := range classes(tenant, a) {
		if r := l.classes[class]; r != nil && len(r.samples) >= enough {
			return slices.Clone(r.samples), class
		}
	}
	return nil, ""
}

// anything are samples of any jobs.
func (l *Learner) anything() []*sample {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.classes[global]; r != nil && len(r.samples) >= enough {
		return slices.Clone(r.samples)
	}
	return nil
}

// Pace is that of a model.
func (l *Learner) Pace(model string) why.Pace {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pace(model)
	return why.Pace{PerSecond: p.rate(l.now()), Tokens: int(p.tokens), Took: time.Duration(p.tookMS * float64(time.Millisecond))}
}

// maxModels bounds the models of which the pace is known.
const maxModels = 1000

func (l *Learner) pace(model string) *pace {
	p := l.models[model]
	if p == nil {
		if len(l.models) >= maxModels {
			clear(l.models)
		}
		p = &pace{}
		l.models[model] = p
	}
	return p
}

// pace is how fast the tasks of a model end, by the second, and what they take.
type pace struct {
	second [rateWindow]int64
	ended  [rateWindow]int
	tokens float64
	tookMS float64
}

// weight is that of a new task in the means.
const weight = 0.02

func (p *pace) add(at time.Time, a *event.Attempt) {
	second := at.Unix()
	i := int(second % rateWindow)
	if p.second[i] < second {
		p.second[i], p.ended[i] = second, 0
	}
	if p.second[i] == second {
		p.ended[i]++
	}
	tokens := float64(a.PromptTokens + a.CompletionTokens)
	if p.tokens == 0 {
		p.tokens, p.tookMS = tokens, a.DurationMS
	}
	p.tokens += weight * (tokens - p.tokens)
	p.tookMS += weight * (a.DurationMS - p.tookMS)
}

// rate is over the time since the first task within the window, a second at least.
func (p *pace) rate(now time.Time) float64 {
	ended, oldest := 0, now.Unix()
	for i, second := range p.second {
		if now.Unix()-second < rateWindow && second <= now.Unix() {
			ended, oldest = ended+p.ended[i], min(oldest, second)
		}
	}
	return float64(ended) / float64(now.Unix()-oldest+1)
}
