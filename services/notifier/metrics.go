package notifier

import (
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	created   prometheus.Counter
	tries     *prometheus.CounterVec
	postponed *prometheus.CounterVec
	seconds   prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, g *gates) *metrics {
	m := &metrics{
		created: prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_notifier_deliveries_total",
			Help: "Webhooks to be delivered: one for each result and receiver."}),
		tries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_notifier_tries_total",
			Help: "Tries to deliver webhooks, by what came of them: delivered, failed, dead."}, []string{"end"}),
		postponed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_notifier_postponed_total",
			Help: "Deliveries sent away without a try: busy or breaker."}, []string{"why"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "weir_notifier_try_seconds",
			Help: "Time of one try.", Buckets: []float64{.01, .03, .1, .3, 1, 3, 10, 20}}),
	}
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "weir_notifier_breakers_open",
		Help: "Receivers that are left alone for a while."}, func() float64 { return float64(g.open()) })
	reg.MustRegister(m.created, m.tries, m.postponed, m.seconds, open)
	return m
}
