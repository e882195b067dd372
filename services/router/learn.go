package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/online"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
)

// learner keeps what the fleet learns of tasks while they run: one of the routers
// at a time takes each outcome and changes the task's state in the bucket, all
// follow the bucket.
type learner struct {
	s     *Service
	ready chan struct{}

	mu    sync.Mutex
	tasks map[string]*learned
}

// learned is what is known of one task beyond the policy table.
type learned struct {
	V int `json:"v"`
	// Online is the chain with its thresholds; nil before there is a label.
	Online *online.Task `json:"online,omitempty"`
	// Semantic counts the audited hits of the semantic cache.
	Semantic cache.FalseHits `json:"semantic"`
}

const (
	learnedVersion = 1
	learnBatch     = 256
	// learnEvery is how long outcomes are gathered for one change of a task's state.
	learnEvery = time.Second
	// allowedPerLoss is the disagreement with the reference that goes with a loss of
	// quality: of models of one family a tenth to four tenths of what is accepted and
	// differs was a loss (docs/cascade.md).
	allowedPerLoss = 2.5
	// maxLearned bounds the labels of a task with a table, some 150 bytes each, maxCold
	// those of one without, which keep features: the state stays below 512 KiB.
	maxLearned, maxCold = 1500, 400
)

func newLearner(s *Service) *learner {
	return &learner{s: s, ready: make(chan struct{}), tasks: map[string]*learned{}}
}

// of is what is known of a task, nil without anything.
func (l *learner) of(task string) *learned {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tasks[task]
}

// chain is the chain that was learned from the table of a version ("" is the cold
// start), nil if there is none.
func (l *learned) chain(table string) []cascade.Tier {
	if l == nil || l.Online == nil || l.Online.Table != table || !l.Online.Warm {
		return nil
	}
	return l.Online.Chain
}

// failed says that the table of a version is not to be used until more is known:
// what its thresholds accepted was wrong too often.
func (l *learned) failed(table string) bool {
	return l != nil && l.Online != nil && l.Online.Table == table && !l.Online.Warm
}

// tau is the threshold that was learned for a model, or else the table's.
func (l *learned) tau(table, model string, tau float64) float64 {
	for _, t := range l.chain(table) {
		if t.Model == model {
			return t.Tau
		}
	}
	return tau
}

// semantic reports whether hits of the semantic cache may be used.
func (l *learned) semantic() bool { return l == nil || l.Semantic.Allowed() }

// Ready is closed when what is known is read.
func (l *learner) Ready() <-chan struct{} { return l.ready }

// Run follows and learns until ctx ends.
func (l *learner) Run(ctx context.Context) error {
	var wait sync.WaitGroup
	wait.Go(func() { l.again(ctx, "following what is learned", l.follow) })
	wait.Go(func() { l.again(ctx, "learning from outcomes", l.learn) })
	wait.Go(func() { l.again(ctx, "sweeping the semantic cache", l.sweep) })
	wait.Wait()
	return nil
}

// again runs do until ctx ends, after each trouble once more.
func (l *learner) again(ctx context.Context, doing string, do func(context.Context) error) {
	for ctx.Err() == nil {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			l.s.p.Logger.WarnContext(ctx, "learning goes on later", "doing", doing, "error", err)
			lifecycle.Sleep(ctx, learnEvery) //nolint:errcheck // the loop looks
		}
	}
}

// followFor is how long one watch lasts: one that the server forgot is made anew.
const followFor = time.Minute

// follow reads the states of all tasks, and their changes.
func (l *learner) follow(ctx context.Context) error {
	kv, err := l.s.bus.KeyValue(ctx, bus.BucketCascade)
	if err != nil {
		return err
	}
	watching, cancel := context.WithTimeout(ctx, followFor)
	defer cancel()
	watcher, err := kv.Watch(watching, taskKey("*"))
	if err != nil {
		return fmt.Errorf("watching %s: %w", bus.BucketCascade, err)
	}
	defer watcher.Stop() //nolint:errcheck // the watch is over
	for {
		select {
		case <-watching.Done():
			return nil
		case entry, open := <-watcher.Updates():
			switch {
			case !open:
				return errors.New("the watch ended")
			case entry == nil:
				l.setReady()
			case entry.Operation() == jetstream.KeyValuePut:
				l.adopt(ctx, entry)
			}
		}
	}
}

func (l *learner) setReady() {
	select {
	case <-l.ready:
	default:
		close(l.ready)
	}
}

func (l *learner) adopt(ctx context.Context, entry jetstream.KeyValueEntry) {
	state, err := decodeLearned(entry.Value())
	if err != nil {
		l.s.p.Logger.WarnContext(ctx, "reading what is learned", "key", entry.Key(), "error", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tasks[entry.Key()[len(taskPrefix):]] = &state
}

func decodeLearned(data []byte) (learned, error) {
	state := learned{V: learnedVersion}
	if err := json.Unmarshal(data, &state); err != nil {
		return state, fmt.Errorf("decoding what is learned: %w", err)
	}
	if state.V != learnedVersion {
		return state, event.Errorf(event.ClassUnsupported, "version %d of what is learned, this Weir reads %d", state.V, learnedVersion)
	}
	if t := state.Online; t != nil && t.Validate() != nil {
		state.Online = nil // begin anew
	}
	return state, nil
}

const taskPrefix = "task."

func taskKey(task string) string { return taskPrefix + task }

// learn takes outcomes, in batches, until there is trouble.
func (l *learner) learn(ctx context.Context) error {
	consumer, err := l.s.bus.JetStream().CreateOrUpdateConsumer(ctx, bus.StreamOutcomes, jetstream.ConsumerConfig{
		Durable: "learner", AckPolicy: jetstream.AckExplicitPolicy, AckWait: bus.AckWait, MaxDeliver: -1, MaxAckPending: 8 * learnBatch})
	if err != nil {
		return fmt.Errorf("ensuring the learner's consumer: %w", err)
	}
	for ctx.Err() == nil {
		msgs, err := fetch(ctx, consumer)
		if err != nil {
			return err
		}
		seen, of := map[string][]event.Observation{}, map[string][]jetstream.Msg{}
		for _, msg := range msgs {
			o, ok := l.read(ctx, msg)
			if ok {
				seen[o.Task] = append(seen[o.Task], o)
			}
			of[o.Task] = append(of[o.Task], msg)
		}
		for task, msgs := range of {
			if err := l.teach(ctx, task, seen[task], msgs); err != nil {
				return err
			}
		}
	}
	return nil
}

// teach applies the outcomes of a task, and acks them.
func (l *learner) teach(ctx context.Context, task string, observed []event.Observation, msgs []jetstream.Msg) error {
	if len(observed) > 0 {
		err := l.change(ctx, task, observed)
		if err != nil && event.AsError(err).Class == event.ClassUnavailable {
			return err // they are delivered again
		}
		if err != nil { // as it would be each time
			l.s.p.Logger.WarnContext(ctx, "outcomes are left out", "task", task, "error", err)
		}
	}
	for _, msg := range msgs {
		if err := msg.Ack(); err != nil {
			return fmt.Errorf("acking outcomes: %w", err)
		}
	}
	return nil
}

// fetch gathers messages for learnEvery, or until ctx ends.
func fetch(ctx context.Context, consumer jetstream.Consumer) ([]jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, learnEvery)
	defer cancel()
	batch, err := consumer.Fetch(learnBatch, jetstream.FetchContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("fetching outcomes: %w", err)
	}
	var msgs []jetstream.Msg
	for msg := range batch.Messages() {
		msgs = append(msgs, msg)
	}
	if err := batch.Error(); err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("fetching outcomes: %w", err)
	}
	return msgs, nil
}

// read reads an outcome; one that can't be read teaches nothing.
func (l *learner) read(ctx context.Context, msg jetstream.Msg) (event.Observation, bool) {
	in := bus.Message{Subject: msg.Subject(), Data: msg.Data(), Header: msg.Headers()}
	err := l.s.bus.Resolve(ctx, &in)
	var o event.Observation
	if err == nil {
		o, err = event.Decode[event.Observation](in.Data)
	}
	if err == nil {
		err = event.CheckName("task", o.Task)
	}
	if err != nil {
		l.s.p.Logger.WarnContext(ctx, "an outcome is left out", "subject", msg.Subject(), "error", err)
	}
	return o, err == nil
}

// change applies outcomes to the state of a task.
func (l *learner) change(ctx context.Context, task string, observed []event.Observation) error {
	kv, err := l.s.bus.KeyValue(ctx, bus.BucketCascade)
	if err != nil {
		return err
	}
	policy, ok := l.s.ports.Catalog.Current().Policy(task)
	if !ok {
		return nil // the policies lost the task meanwhile
	}
	unaudited := l.s.unaudited(ctx)
	value := bus.Value[learned]{KV: kv, Key: taskKey(task), Name: "what is learned of " + task, Decode: decodeLearned, None: learned{V: learnedVersion}}
	_, err = value.Change(ctx, func(state *learned) error {
		if err := l.settle(state, &policy); err != nil {
			return err
		}
		for i := range observed {
			if unaudited { // labels of escalations alone would mislead
				observed[i].Outcome = nil
			}
			l.take(ctx, state, &observed[i])
		}
		l.refit(ctx, state)
		state.calibrate(nil)
		return nil
	})
	return err
}

// fits says that the state is of the table, or without one of the models that are
// tried and compared.
func (l *learned) fits(version string, table *cascade.TaskPolicy, cold []string) bool {
	t := l.Online
	if t == nil || t.Table != version {
		return false
	}
	if table != nil {
		cold = nil
		for _, tier := range table.Chain {
			cold = append(cold, tier.Model)
		}
	}
	return slices.EqualFunc(t.Base, cold, func(tier cascade.Tier, model string) bool { return tier.Model == model }) && len(t.Chain) == len(t.Base)
}

// calibrate gives the chain of a task the calibrations of its table; with nil it
// takes them away, for they are large and the table has them.
func (l *learned) calibrate(table *cascade.TaskPolicy) {
	if l.Online == nil || l.Online.Table == "" {
		return
	}
	for _, chain := range [][]cascade.Tier{l.Online.Base, l.Online.Chain} {
		for i := range chain {
			chain[i].Calibration = nil
			if table != nil {
				chain[i].Calibration = table.Chain[i].Calibration
			}
		}
	}
}

// settle makes the state that of the table in force.
func (l *learner) settle(state *learned, policy *catalog.Policy) error {
	routing := l.s.ports.Catalog.Current().Routing
	if !policy.Accept.Tau.Auto || len(policy.Chain) < 2 {
		state.Online = nil
		return nil
	}
	cfg := online.DefaultConfig()
	cfg.Allowed = min(allowedPerLoss**policy.MaxQualityLoss, 1)
	cfg.AuditRate, cfg.MaxLabels = *policy.Audit.Rate, maxCold
	table, version := routing.Learned.Policy(policy.Task), ""
	if table != nil {
		version, cfg.MaxLabels = routing.Learned.Version, maxLearned
	}
	reference, _ := l.s.ports.Catalog.Current().Model(routing.Reference)
	if state.fits(version, table, []string{policy.Chain[0], reference.ID}) {
		state.Online.Config = cfg
		state.calibrate(table)
		return nil
	}
	var err error
	switch {
	case table != nil && len(table.Chain) > 1:
		own := *table
		own.Chain = slices.Clone(table.Chain) // the catalog is never changed
		state.Online, err = online.New(policy.Task, version, &own, cfg)
	case table == nil && policy.Chain[0] != reference.ID:
		state.Online, err = online.NewCold(policy.Task, policy.Chain[0], reference.ID, cfg)
	default:
		state.Online = nil // one model answers: there is no threshold to learn
	}
	return err
}

// take applies one outcome.
func (l *learner) take(ctx context.Context, state *learned, o *event.Observation) {
	if hit := o.SemanticHit; hit != nil {
		state.Semantic.Observe(!*hit)
	}
	t := state.Online
	if t == nil {
		return
	}
	var alarms []*online.Alarm
	if o.Accepted != o.Escalated {
		alarms = append(alarms, t.Decided(o.Accepted))
	}
	var outcome cascade.Outcome
	if json.Unmarshal(o.Outcome, &outcome) == nil {
		for i, tier := range t.Chain {
			a := answerOf(&outcome, i, tier)
			if !math.IsNaN(a.OK) {
				l.s.metrics.labels.WithLabelValues(t.Name, string(a.Source), fmt.Sprint(a.OK >= 0.5)).Inc()
			}
			alarms = append(alarms, t.Learn(a))
		}
	}
	for _, alarm := range alarms {
		if alarm != nil {
			l.s.metrics.reverts.WithLabelValues(t.Name).Inc()
			l.s.p.Logger.WarnContext(ctx, "a task is back at its policy table", "task", t.Name, "alarm", alarm.What, "expected", alarm.Expected, "excess", alarm.Excess)
		}
	}
}

// answerOf is what an outcome says of a tier's answer; one without a label is no
// answer.
func answerOf(o *cascade.Outcome, tier int, of cascade.Tier) online.Answer {
	m := o.Models[of.Model]
	a := online.Answer{ID: o.ID, At: o.At, Tier: tier, OK: math.NaN(), Source: m.Source, Features: m.Features, Accepted: m.Source == cascade.LabelAudit}
	if m.OK == nil {
		return a
	}
	a.OK = *m.OK
	if of.Calibration != nil {
		e, _ := o.Evidence(of.Model, of.Paid)
		a.P = of.Calibration.P(e)
	}
	return a
}

// refit moves the thresholds when it is time, the more boldly the scarcer money is.
func (l *learner) refit(ctx context.Context, state *learned) {
	t := state.Online
	if t == nil {
		return
	}
	pressure := 0.0
	for _, tenant := range l.s.ports.Catalog.Current().Tenants {
		pressure = max(pressure, l.s.guard.Pressure(tenant.ID))
	}
	t.SetPressure(pressure)
	before := slices.Clone(t.Chain)
	moved, err := t.Refit(l.s.p.Now())
	if err != nil {
		l.s.p.Logger.WarnContext(ctx, "thresholds stay as they are", "task", t.Name, "error", err)
		return
	}
	if moved {
		l.s.p.Logger.InfoContext(ctx, "thresholds moved", "task", t.Name, "from", taus(before), "to", taus(t.Chain))
	}
}

func taus(chain []cascade.Tier) []float64 {
	out := make([]float64, len(chain))
	for i, t := range chain {
		out[i] = t.Tau
	}
	return out
}
