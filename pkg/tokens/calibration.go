package tokens

import (
	"math"
	"sync"
	"time"
)

// The constants of the calibration, from measurements of how usage differs from
// counts over models and languages.
const (
	// calibrateAlpha is the weight of a new answer in a ratio; the first twenty
	// are averaged.
	calibrateAlpha = 0.05
	// firstOutputs is from how many answers on an output is predicted.
	firstOutputs = 20
	// minFactor and maxFactor bound a factor, and what one answer can claim.
	minFactor, maxFactor = 0.5, 3
	// maxCells bounds the ratios and the outputs kept, each: their JSON stays
	// well below the megabyte a NATS message may have.
	maxCells = 500
)

// Calibration learns from finished calls how a model's own count of a prompt
// relates to ours, per kind of content, and how long answers are, per tenant
// and model. It is safe for concurrent use.
type Calibration struct {
	now     func() time.Time
	mu      sync.Mutex
	ratios  map[ratioKey]Ratio
	outputs map[outputKey]Output
}

type ratioKey struct {
	model string
	kind  Kind
}

type outputKey struct{ tenant, model string }

// Ratio is what is known of one model and kind of content: the tokens the
// provider counted per token of ours.
type Ratio struct {
	Model string  `json:"model"`
	Kind  Kind    `json:"kind"`
	N     int     `json:"n"` // answers seen
	Mean  float64 `json:"mean"`
	Var   float64 `json:"var"` // variance around Mean
	At    int64   `json:"at"`  // Unix time of the last answer
}

// Output is what is known of the length of one tenant's answers of one model.
type Output struct {
	Tenant string `json:"tenant"`
	Model  string `json:"model"`
	N      int    `json:"n"` // answers seen
	// Counts are recent answers by bucket of length: eight to a power of two.
	Counts map[int]int `json:"counts"`
	At     int64       `json:"at"`
}

// NewCalibration returns a Calibration that knows nothing. now is the clock,
// nil for the real one.
func NewCalibration(now func() time.Time) *Calibration {
	if now == nil {
		now = time.Now
	}
	return &Calibration{now: now, ratios: map[ratioKey]Ratio{}, outputs: map[outputKey]Output{}}
}

// Usage is what one finished call has shown. A figure of 0 is unknown and
// teaches nothing.
type Usage struct {
	Tenant, Model string
	Kind          Kind
	Counted       int // tokens of the prompt by our count
	Prompt        int // the same by the provider's
	Completion    int // tokens of the answer
}

// Observe learns from a finished call.
func (c *Calibration) Observe(u Usage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.now().Unix()
	if u.Counted > 0 && u.Prompt > 0 {
		key := ratioKey{u.Model, u.Kind}
		r := c.ratios[key]
		r.Model, r.Kind, r.At = u.Model, u.Kind, at
		r.learn(clampFactor(float64(u.Prompt) / float64(u.Counted)))
		put(c.ratios, key, r)
	}
	if u.Completion > 0 {
		key := outputKey{u.Tenant, u.Model}
		o := c.outputs[key]
		if o.Counts == nil {
			o = Output{Tenant: u.Tenant, Model: u.Model, Counts: map[int]int{}}
		}
		o.N++
		o.At = at
		histogram(o.Counts).add(u.Completion)
		put(c.outputs, key, o)
	}
}

// learn moves mean and variance towards x: by 1/n at first, then by alpha.
func (r *Ratio) learn(x float64) {
	r.N++
	weight := max(calibrateAlpha, 1/float64(r.N))
	diff := x - r.Mean
	r.Mean += weight * diff
	r.Var = (1 - weight) * (r.Var + weight*diff*diff)
}

// Deviation returns the standard deviation relative to the mean.
func (r Ratio) Deviation() float64 {
	if r.Mean == 0 {
		return 0
	}
	return math.Sqrt(r.Var) / r.Mean
}

// factor is the mean and two standard deviations, within the bounds.
func (r Ratio) factor() float64 { return clampFactor(r.Mean * (1 + 2*r.Deviation())) }

func clampFactor(f float64) float64 { return min(max(f, minFactor), maxFactor) }

// Input returns how many tokens to expect from a provider for a prompt of
// counted tokens of ours: rather too many, by two standard deviations. first is
// the ratio to use while no answer was seen; 0 is 1.
func (c *Calibration) Input(model string, kind Kind, counted int, first float64) int {
	if first == 0 {
		first = 1
	}
	factor := clampFactor(first)
	if r := c.Ratio(model, kind); r.N > 0 {
		factor = r.factor()
	}
	// An exact product must not be rounded up for its last binary digit.
	return int(math.Ceil(float64(counted)*factor - 1e-9*float64(counted)))
}

// Ratio returns what is known of a model and kind; N is 0 if nothing is.
func (c *Calibration) Ratio(model string, kind Kind) Ratio {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ratios[ratioKey{model, kind}]
}

// Output returns how many tokens to reserve for an answer: the length that
// nine in ten of the tenant's recent answers did not exceed, at most maxTokens.
// Before twenty answers that is maxTokens. A maxTokens of 0 is no bound; then
// 0 means that nothing is known.
func (c *Calibration) Output(tenant, model string, maxTokens int) int {
	_, p90, n := c.OutputQuantiles(tenant, model)
	if n < firstOutputs || maxTokens > 0 && p90 > maxTokens {
		return maxTokens
	}
	return p90
}

// OutputQuantiles returns the median and the 90th percentile of the lengths of
// recent answers, at most an eighth too high, and how many were ever seen.
func (c *Calibration) OutputQuantiles(tenant, model string) (p50, p90, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.outputs[outputKey{tenant, model}]
	h := histogram(o.Counts)
	return h.quantile(0.5), h.quantile(0.9), o.N
}
