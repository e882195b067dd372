package cascade

import (
	"encoding/json"
	"hash/fnv"
	"math"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// Sampled reports whether a job is one of a share of all, from 0 to 1: always the
// same for the same job.
func Sampled(job string, share float64) bool {
	h := fnv.New64a()
	h.Write([]byte(job))
	x := h.Sum64()
	x ^= x >> 33 // FNV's high bits hardly depend on the last characters
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11)/(1<<53) < share
}

// Observe is what an accepted answer teaches: what each model of the task did, with
// a label by agreement for those whose answers were not accepted.
func Observe(task *event.GenerateTask, final *event.Judged, now time.Time) (event.Observation, error) {
	o := Outcome{ID: task.Tenant + "." + task.ID, Task: task.Task, Question: task.Question, At: now.UTC(), Models: map[string]ModelOutcome{}}
	if r := task.Receipt.Routing; r != nil {
		o.Reference = r.Reference
	}
	for i := range task.Prior {
		prior := &task.Prior[i]
		made := modelOutcome(prior)
		if final.Answer.Model == o.Reference {
			made.label(SameAnswer(prior.Answer.Text, final.Answer.Text), LabelAgreement, 1)
		}
		o.Models[prior.Answer.Model] = made
	}
	o.Models[final.Answer.Model] = modelOutcome(final)
	// Where a model could not be had, or two began at once, nothing is said of the first.
	var of event.Observation
	if r := task.Receipt.Routing; len(task.Tried) == 0 && (r == nil || r.Start == "") {
		of.Accepted, of.Escalated = len(task.Prior) == 0, len(task.Prior) > 0
	}
	return observation(task, o, of)
}

// Compare is what a shadow's answer teaches.
func Compare(task *event.GenerateTask, answer *event.Judged, now time.Time) (event.Observation, error) {
	of := &task.Shadow.Of
	o := Outcome{ID: task.Tenant + "." + task.ID, Task: task.Task, Question: task.Question, At: now.UTC(),
		Reference: of.Answer.Model, Models: map[string]ModelOutcome{}}
	a, b := modelOutcome(of), modelOutcome(answer)
	same, weight := SameAnswer(of.Answer.Text, answer.Answer.Text), 1/task.Shadow.Rate
	if task.Shadow.Audit {
		o.Reference = answer.Answer.Model
		a.label(same, LabelAudit, weight)
	} else {
		b.label(same, LabelAgreement, weight)
	}
	o.Models[of.Answer.Model], o.Models[answer.Answer.Model] = a, b
	return observation(task, o, event.Observation{AuditNanoUSD: answer.CostNanoUSD})
}

func observation(task *event.GenerateTask, o Outcome, out event.Observation) (event.Observation, error) {
	data, err := json.Marshal(o)
	out.Envelope, out.Task, out.Outcome = task.Envelope, task.Task, data
	out.V = event.Version
	out.Webhook, out.Metadata = "", nil // what is learned is nobody's in particular
	return out, err
}

func modelOutcome(j *event.Judged) ModelOutcome {
	m := ModelOutcome{CostNanoUSD: j.CostNanoUSD, LatencyMS: j.LatencyMS, Features: Features{}}
	for name, value := range j.Features {
		if price, ok := j.Paid[name]; ok {
			if m.Paid == nil {
				m.Paid = map[string]PaidSignal{}
			}
			m.Paid[name] = PaidSignal{Value: value, CostNanoUSD: price}
			continue
		}
		if !math.IsNaN(value) && !math.IsInf(value, 0) {
			m.Features[name] = value
		}
	}
	if j.Hard { // known without anybody's answer
		m.label(false, LabelFeedback, 1)
	}
	return m
}

func (m *ModelOutcome) label(ok bool, source Label, weight float64) {
	if m.Source == LabelFeedback { // a check of the answer knows better
		return
	}
	right := 0.0
	if ok {
		right = 1
	}
	m.OK, m.Source, m.Weight = &right, source, weight
}
