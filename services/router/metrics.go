package router

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	retrieval prometheus.Histogram
	fallbacks *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		retrieval: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_router_retrieval_seconds", Help: "Time to embed a question and find its sources.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14), // 1 ms to 8 s
		}),
		fallbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_router_fallbacks_total", Help: "Tasks that one model could not do and another took.",
		}, []string{"from", "to"}),
	}
	reg.MustRegister(m.retrieval, m.fallbacks)
	return m
}
