package embedder

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	items  prometheus.Histogram
	tokens prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		items: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_embedder_batch_items", Help: "Texts per call to the provider.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12), // 1 to 2048, the largest batch of OpenAI's API
		}),
		tokens: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_embedder_tokens_total", Help: "Tokens as the provider counted them.",
		}),
	}
	reg.MustRegister(m.items, m.tokens)
	return m
}

func (m *metrics) observe(items, tokens int) {
	m.items.Observe(float64(items))
	m.tokens.Add(float64(tokens))
}
