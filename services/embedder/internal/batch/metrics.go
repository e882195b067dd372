package batch

import "github.com/prometheus/client_golang/prometheus"

// Metrics of all calls for vectors.
type Metrics struct {
	items   prometheus.Histogram
	tokens  prometheus.Counter
	calls   *prometheus.GaugeVec
	divided prometheus.Counter
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		items: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_embedder_batch_items", Help: "Texts per call to the provider.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12), // 1 to 2048, the largest batch of OpenAI's API
		}),
		tokens: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_embedder_tokens_total", Help: "Tokens as the provider counted them.",
		}),
		calls: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_embedder_calls", Help: "Calls under way, those included that wait for the limits.",
		}, []string{"kind"}),
		divided: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_embedder_divided_total", Help: "Calls that were refused for a text in them and made again in parts.",
		}),
	}
	reg.MustRegister(m.items, m.tokens, m.calls, m.divided)
	return m
}

func (m *Metrics) observe(items, tokens int) {
	m.items.Observe(float64(items))
	m.tokens.Add(float64(tokens))
}
