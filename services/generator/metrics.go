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
	reg.MustRegister(m.tokens, m.cost, m.ttft, m.dropped)
	return m
}

func (m *metrics) observe(call event.Attempt) {
	m.tokens.WithLabelValues("prompt").Add(float64(call.PromptTokens))
	m.tokens.WithLabelValues("completion").Add(float64(call.CompletionTokens))
	m.cost.Add(float64(call.CostNanoUSD))
	if call.TTFTMS > 0 {
		m.ttft.Observe(call.TTFTMS / 1000)
	}
}
