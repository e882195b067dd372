package generator

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/event"
)

type metrics struct {
	tokens *prometheus.CounterVec
	cost   prometheus.Counter
	ttft   prometheus.Histogram
	// dropped counts failed tasks whose answer nobody waited for.
	dropped prometheus.Counter
	// answers, spent and reference are of accepted answers, by the policy's task.
	answers          *prometheus.CounterVec
	spent, reference *prometheus.CounterVec
	probability      *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_generator_tokens_total", Help: "Tokens as the provider counted them, by kind (prompt, completion).",
		}, []string{"kind"}),
		cost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_generator_cost_nano_usd_total", Help: "Cost of the answered calls in nano-USD.",
		}),
		ttft: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_generator_ttft_seconds", Help: "Time from the call to the first token.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 13), // 10 ms to 41 s
		}),
	}
	m.dropped = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "weir_generator_dropped_total", Help: "Failed comparisons and failed tasks beside another one of their job.",
	})
	m.answers = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_generator_task_answers_total", Help: "Accepted answers of tasks, by the model that gave them.",
	}, []string{"task", "model"})
	m.spent = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_generator_task_cost_nano_usd_total", Help: "Cost of answered tasks in nano-USD, all their calls included.",
	}, []string{"task"})
	m.reference = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_generator_task_reference_cost_nano_usd_total", Help: "What the reference model would have cost for them.",
	}, []string{"task"})
	m.probability = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "weir_generator_task_probability", Help: "Calibrated probability that an answer is acceptable.",
		Buckets: prometheus.LinearBuckets(0.1, 0.1, 9),
	}, []string{"task"})
	reg.MustRegister(m.tokens, m.cost, m.ttft, m.dropped, m.answers, m.spent, m.reference, m.probability)
	return m
}

// accepted counts a task's answer and what it took. Tasks are those of the policies.
func (m *metrics) accepted(r *event.Receipt, model string) {
	if r.Routing == nil {
		return
	}
	task := r.Routing.Task
	m.answers.WithLabelValues(task, model).Inc()
	m.spent.WithLabelValues(task).Add(float64(r.CostNanoUSD))
	m.reference.WithLabelValues(task).Add(float64(r.Routing.ReferenceCostNanoUSD))
}

// judged notes how good an answer was thought to be.
func (m *metrics) judged(task string, j *event.Judged) {
	if task != "" && !j.Hard {
		m.probability.WithLabelValues(task).Observe(j.P)
	}
}

func (m *metrics) observe(call event.Attempt) {
	m.tokens.WithLabelValues("prompt").Add(float64(call.PromptTokens))
	m.tokens.WithLabelValues("completion").Add(float64(call.CompletionTokens))
	m.cost.Add(float64(call.CostNanoUSD))
	if call.TTFTMS > 0 {
		m.ttft.Observe(call.TTFTMS / 1000)
	}
}
