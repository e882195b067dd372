package budget

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/event"
)

type metrics struct {
	wait       *prometheus.HistogramVec
	degraded   *prometheus.GaugeVec
	conflicts  *prometheus.CounterVec
	missed     *prometheus.CounterVec
	operations prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_budget_wait_seconds", Help: "Time calls waited for admission, by group of limits and lane.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10), // 1 ms to 262 s
		}, []string{"group", "lane"}),
		degraded: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_budget_degraded", Help: "1 while a group's shared state is out of reach and no call is admitted.",
		}, []string{"group"}),
		conflicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_budget_conflicts_total", Help: "Reservations that another worker forestalled.",
		}, []string{"group"}),
		missed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_budget_missed_total", Help: "Places that passed before the worker woke, and were reserved again.",
		}, []string{"group"}),
		operations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_budget_operations_total", Help: "Reads and writes of the shared state.",
		}),
	}
	reg.MustRegister(m.wait, m.degraded, m.conflicts, m.missed, m.operations)
	return m
}

func (m *metrics) waited(group string, lane event.Lane, d time.Duration) {
	m.wait.WithLabelValues(group, string(lane)).Observe(d.Seconds())
}

func (m *metrics) setDegraded(group string, on bool) {
	value := 0.0
	if on {
		value = 1
	}
	m.degraded.WithLabelValues(group).Set(value)
}
